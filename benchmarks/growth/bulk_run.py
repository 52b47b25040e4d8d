"""One run of ``naiad process`` in this process, timed from its first result to its last."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.bulk import repeated
from benchmarks.growth.curve import Point
from benchmarks.growth.paused import PAUSE

from naiad.applications.nugraph.events import write_events
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.bulk.application import Bulk
from naiad.bulk.engine import Advance, Engine
from naiad.bulk.inputs import Chunk
from naiad.bulk.journal import Record
from naiad.bulk.run import run
from naiad.bulk.settings import Settings
from naiad.console import PlainConsole
from naiad.tasks.bulk import TaskBulk

MODEL = f"{Path(__file__).with_name('paused.py')}:Paused"

_DIFFERENT = 16
_CHUNK = 8  # events


class Timed:
    """An engine, and when its results came."""

    def __init__(self, engine: Engine) -> None:
        """Pass everything on to ``engine``."""
        self._engine = engine
        self.metadata, self.about = engine.metadata, engine.about
        self._came: list[tuple[float, int]] = []

    def run(self, bulk: Bulk, chunks: Iterable[Chunk], advance: Advance) -> Iterator[Record]:
        """Process the chunks, and note the times."""

        def noted(done: int, failed: int) -> None:
            self._came.append((time.perf_counter(), done))
            advance(done, failed)

        return self._engine.run(bulk, chunks, noted)

    def rate(self) -> float:
        """Return the items per second once a quarter is done: the start does not count."""
        first = len(self._came) // 4
        some = sum(done for _, done in self._came[first + 1 :])
        return some / (self._came[-1][0] - self._came[first][0])


def write_input(path: Path, places: int, seconds: float) -> int:
    """Write events for ``places`` workers for about that many seconds; return their number."""
    count = max(3 * _CHUNK, round(seconds / PAUSE)) * places
    write_events(path, repeated(list(simulate(_DIFFERENT, seed=3)), count))
    return count


def points(runs: Mapping[int, Sequence[tuple[float, float]]]) -> Iterator[Point]:
    """Yield a curve's points from the runs, as :func:`process` returns them, by number of places.

    The efficiency is that of a place, relative to one of the smallest number of places.
    """
    least = min(runs)
    alone = median(rate for rate, _ in runs[least]) / least
    for size, found in runs.items():
        for rate, cpu in found:
            yield "events", size, rate
            yield "efficiency", size, rate / size / alone
            yield "CPU of the command", size, 1e3 * cpu


def process(engine: Engine, path: Path, results: Path, count: int) -> tuple[float, float]:
    """Process a file; return events per second, and this process's CPU seconds per event.

    Raises:
        RuntimeError: an event has no result.
    """
    bulk = TaskBulk(NuGraph3Task(), NuGraph3Task.Options())
    settings = Settings(
        application="nugraph3",
        bulk=bulk,
        paths=[path],
        results=results,
        suffix=".h5",
        chunk=_CHUNK,
    )
    timed, busy = Timed(engine), time.process_time()
    summary = run(settings, timed, PlainConsole(quiet=True))
    if summary.written != count:
        raise RuntimeError(f"{summary.written:,} of {count:,} events have results")
    return timed.rate(), (time.process_time() - busy) / count
