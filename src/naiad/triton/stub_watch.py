"""Processes of the models, Triton's stubs, as the operating system sees them.

Triton 2.51 neither collects nor replaces a stub that dies: it remains a zombie, its model reports
ready, and requests that it had accepted are never answered.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import psutil

from naiad.triton.log_entries import LogEvent

WORKER = "naiad.triton.worker"
"""Module that a worker process of the native backend runs."""

_LOOK = 0.1  # seconds between checks while Triton starts
_DEAD = 2.0  # seconds after which a starting Triton will not replace a dead process
_LOOK_RUNNING = 0.5  # seconds between checks afterwards; an unloaded stub is gone sooner
_COLLECTED = 5.0  # seconds within which even a busy Triton collects one that did not load


class Stubs:
    """Stubs of one Triton, from its start on."""

    def __init__(self) -> None:
        """Begin before the first check."""
        self._looked = 0.0
        self._models: dict[int, str] = {}
        self._workers: set[int] = set()
        self._since: dict[str, float] = {}
        self._served: set[int] = set()
        self._dead_since: dict[int, float] = {}

    def died(self, triton: int, loading: set[str]) -> Iterator[LogEvent]:
        """Yield events for those ``loading`` models whose process has died.

        Triton waits forever for a process that dies before it has reported: a crash while model.py
        is imported, no model.py, no libpython.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        alive, dead = self._look(triton)
        missing = {model for model in loading - set(alive.values()) if dead}
        known = {self._models[pid] for pid in dead if pid in self._models}
        if all(pid in self._models for pid in dead):
            missing &= known
        self._since = {model: self._since.get(model, now) for model in missing}
        for model, since in self._since.items():
            if now - since >= _DEAD:
                own = [pid for pid in dead if self._models.get(pid) == model]
                unknown = [pid for pid in dead if pid not in self._models]  # dead at first sight
                how = {_exit_of(pid) for pid in own or unknown}
                yield LogEvent(
                    "failed",
                    f"its process ended while starting ({' or '.join(sorted(how))}), without any "
                    f"message but what is in the log",
                    model,
                )

    def lost(self, triton: int, loading: Collection[str] = ()) -> str:
        """Return which models of a running Triton have lost their process, and how, or "".

        A process of a ``loading`` model does not count: it may belong to a version that fails to
        load, which Triton notices within a second, while its predecessor is served. A process only
        seen while its model was loading counts once Triton has had time to collect it.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_RUNNING:
            return ""
        self._looked = now
        alive, dead = self._look(triton)
        self._served |= {pid for pid, model in alive.items() if model not in loading}
        if loading:
            dead = [pid for pid in dead if self._models.get(pid, "") not in {"", *loading}]
        self._dead_since = {pid: self._dead_since.get(pid, now) for pid in dead}
        again = [
            pid
            for pid, since in self._dead_since.items()
            if now - since >= (_LOOK_RUNNING if pid in self._served else _COLLECTED)
        ]
        if not again:
            return ""
        return "; ".join(
            f"the process of {self._models.get(pid, 'a model')} has died ({_exit_of(pid)})"
            for pid in sorted(again)
        )

    def _look(self, triton: int) -> tuple[dict[int, str], list[int]]:
        """Return the model of each live stub, by process, and the dead processes."""
        alive: dict[int, str] = {}
        dead: list[int] = []
        try:
            children = psutil.Process(triton).children()
        except psutil.NoSuchProcess:
            return alive, dead
        for child in children:
            if child.pid in self._workers:
                continue
            try:
                if child.status() == psutil.STATUS_ZOMBIE:
                    dead.append(child.pid)
                    continue
                command = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if WORKER in command:
                self._workers.add(child.pid)  # Naiad's native backend collects and replaces it
            elif len(command) > 1:  # stub, REPOSITORY/MODEL/VERSION/model.py, ...
                model = Path(command[1]).parent.parent.name
                self._models[child.pid] = model
                alive[child.pid] = model
        return alive, dead


def _exit_of(zombie: int) -> str:
    """Return how a zombie ended, from the last field of its stat."""
    try:
        status = int(Path(f"/proc/{zombie}/stat").read_text().rsplit(maxsplit=1)[1])
    except (OSError, ValueError):
        return "for unknown reasons"
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit status {code}"
