"""The systems of one work: each is started once, and paused while others have their turn.

All six peers and Naiad go on within 0.3 s of a pause of a minute, with every process that they had.
One that does not, or has lost a process, is ended and started anew for its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from benchmarks.peers.pace import Clock
from benchmarks.peers.processes import Cores, Running, end, start
from benchmarks.peers.systems import System

SPARE = 3 << 30
"""Bytes of memory that the next system gets at least: with less, none is kept."""


@dataclass(slots=True)
class Stage:
    """The systems of a work that were started, of which one runs at a time."""

    work: str
    cores: Cores
    clock: Clock = field(default_factory=Clock, init=False)
    _kept: dict[tuple[str, float], Running] = field(default_factory=dict, init=False)

    @contextmanager
    def turn(self, system: System, python: Path, wait: float) -> Iterator[Running]:
        """Start or resume a system, and pause it afterwards; after an exception, end it.

        It is ended, too, if less than `SPARE` of the memory is available.
        """
        running = self._kept.pop((system.name, wait), None)
        if running is None:
            running = start(system, python, self.work, wait, self.cores)
        else:
            running.resume()
        try:
            yield running
            kept = psutil.virtual_memory().available >= SPARE
            if kept:
                running.pause()
        except BaseException:
            self._end([running])
            raise
        if kept:
            self._kept[system.name, wait] = running
        else:
            self._end([running])

    def close(self) -> None:
        """End all systems at once."""
        self._end([*self._kept.values()])
        self._kept.clear()

    def _end(self, systems: Sequence[Running]) -> None:
        with self.clock.timed("ends"):
            end(systems)
