"""A process that runs lots of requests through a pipeline and measures their times.

The caller does not share an interpreter with the model, and survives its crashes and hangs.
Requests are sent as pickles over a private socket pair; this is not part of the times.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from naiad.core.pipeline import Pipeline, Request
from naiad.error_text import kind_of, message_of
from naiad.errors import MissingExtra, NaiadError, PipelineError
from naiad.runtime.environment import worker_environment
from naiad.runtime.runner import Runner
from naiad.runtime.spec import Spec
from naiad.runtime.worker import begin, load, loaded

Lots: TypeAlias = Sequence[Sequence[Request]]
"""Lots of requests that are run together."""

_MAIN = f"from {__name__} import main; main()"  # the parent cannot unpickle classes of __main__
_MEASURED = "while it was measured, "
_LOADING = 300.0  # seconds
_GRACE = 1.0  # seconds for a process to end by itself


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a lot.

    Attributes:
        lot: its number.
        stages: seconds of each stage, measured in the process.
        error: of the first request that failed, or None.
    """

    lot: int
    stages: dict[str, float]
    error: NaiadError | None

    @property
    def seconds(self) -> float:
        """All stages together."""
        return sum(self.stages.values())


@dataclass(frozen=True, slots=True)
class _Task:
    lots: Lots | None  # None: those of the previous task
    first: int
    seconds: float


class Worker:
    """A pipeline in its own process; close it after use."""

    def __init__(self, spec: Spec, *, watchdog: float = Pipeline.watchdog) -> None:
        """Start the process and load the model in it; allow ``watchdog`` seconds per lot."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                env=worker_environment(spec.threads),
                pass_fds=[theirs.fileno()],
            )
        self.pid = self._process.pid
        self._connection = Connection(ours.detach())
        self._connection.send(spec)
        self._loading = f"while loading {spec.pipeline}: "
        self._watchdog = watchdog
        self._timeout = watchdog

    def ready(self) -> None:
        """Wait until the model is loaded.

        Raises:
            NaiadError: ``setup`` raised it, or the process ended or took too long.
        """
        if error := self._receive(self._loading, _LOADING):
            raise error

    def run(self, requests: Sequence[Request]) -> Run:
        """Run one lot.

        Raises:
            PipelineError: the process ended, or took too long and was killed.
        """
        self.begin([requests])
        (run,) = self.wait()
        return run

    def begin(self, lots: Lots | None = None, *, first: int = 0, seconds: float = 0.0) -> None:
        """Start to run lots in turn, from number ``first`` on, for ``seconds`` but at least one.

        Without ``lots``, run those given before.

        Raises:
            PipelineError: the process has ended.
        """
        self._timeout = seconds + self._watchdog
        try:
            self._connection.send(_Task(lots, first, seconds))
        except ConnectionError:
            raise self._lost(_MEASURED) from None

    def wait(self) -> list[Run]:
        """Wait for the lots that were started.

        Raises:
            PipelineError: the process ended, or took too long and was killed.
        """
        return self._receive(_MEASURED, self._timeout)

    def close(self) -> int:
        """End the process, by force if it does not end by itself; return its status."""
        self._connection.close()
        try:
            return self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _receive(self, doing: str, timeout: float) -> Any:
        try:
            if self._connection.poll(timeout):
                return self._connection.recv()
        except (EOFError, ConnectionError):
            raise self._lost(doing) from None
        self._process.kill()
        raise PipelineError(f"{doing}the worker did not answer within {timeout:g} s and was killed")

    def _lost(self, doing: str) -> PipelineError:
        status = self.close()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return PipelineError(f"{doing}the worker process ended {how}")


def main() -> None:
    """Load the model, report that, and run tasks until the parent closes the connection."""
    descriptor, parent = map(int, sys.argv[1:])
    begin(parent)
    with Connection(descriptor) as connection:
        spec = connection.recv()
        runner = loaded(lambda: load(spec), lambda error: connection.send(_plain(error)))
        if runner is None:
            return
        connection.send(None)
        lots: Lots = []
        while True:
            try:
                task: _Task = connection.recv()
            except (EOFError, ConnectionError):
                return
            lots = lots if task.lots is None else task.lots
            connection.send(_runs(runner, lots, task))


def _runs(runner: Runner, lots: Lots, task: _Task) -> list[Run]:
    runs: list[Run] = []
    until = time.perf_counter() + task.seconds
    for number in count(task.first):
        lot = number % len(lots)
        report = runner.run(lots[lot])
        # A report sums the seconds over requests.
        stages = {name: seconds / len(lots[lot]) for name, seconds in report.seconds.items()}
        failures = (outcome for outcome in report.outcomes if isinstance(outcome, NaiadError))
        error = next(failures, None)
        runs.append(Run(lot, stages, None if error is None else _plain(error)))
        if time.perf_counter() >= until:
            break
    return runs


def _plain(error: NaiadError) -> NaiadError:
    """Convert the error to one of Naiad's own classes, which can be pickled."""
    kind = kind_of(error)
    return (PipelineError if kind is MissingExtra else kind)(message_of(error))
