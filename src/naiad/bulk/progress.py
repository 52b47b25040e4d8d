"""Progress of a long run with its rate and time left: a bar, or a line a minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from naiad.console import PlainConsole, progress_bar

_WINDOW: Final = 120.0  # seconds over which the rate is averaged
_SAMPLE: Final = 0.5
_FIRST_LINE: Final = 10.0
_LINES: Final = 60.0


class Pace:
    """Number of items done out of a total, and their recent rate."""

    def __init__(
        self,
        total: int,
        done: int = 0,
        failed: int = 0,
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Begin with the work of earlier runs, which does not count for the rate."""
        self.total = total
        self.done = done
        self.failed = failed
        self._clock = clock or time.monotonic
        self._samples = deque([(self._clock(), done)])

    def add(self, done: int, failed: int = 0) -> None:
        """Count further items; ``failed`` of them failed."""
        self.done += done
        self.failed += failed
        now = self._clock()
        if now - self._samples[-1][0] >= _SAMPLE:
            self._samples.append((now, self.done))
            while len(self._samples) > 2 and now - self._samples[1][0] > _WINDOW:
                self._samples.popleft()

    @property
    def rate(self) -> float:
        """Items per second over the last two minutes; 0 until it is known."""
        at, done = self._samples[0]
        seconds = self._clock() - at
        return (self.done - done) / seconds if seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take at this rate, or None if the rate is unknown."""
        rest = self.total - self.done
        return rest / self.rate if self.rate > 0 else None if rest else 0.0

    def text(self) -> str:
        """Describe the rate, time left and failures."""
        left = self.left
        parts = [f"{self.rate:,.1f} per second" if self.rate else "waiting"]
        if left is not None:
            parts.append(f"{timedelta(seconds=round(left))} left")
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        return ", ".join(parts)


@contextmanager
def shown(pace: Pace, unit: str, console: PlainConsole) -> Generator[Callable[[int, int], None]]:
    """Yield a function that counts items, and show progress: a bar, or in a log a line a minute."""
    with progress_bar(unit, pace.total, console=console) as show:
        show(pace.done, note=pace.text())
        due = time.monotonic() + _FIRST_LINE

        def advance(done: int, failed: int) -> None:
            nonlocal due
            pace.add(done, failed)
            if console.is_terminal:
                show(pace.done, note=pace.text())
            elif time.monotonic() >= due:
                due = time.monotonic() + _LINES
                share = pace.done / max(1, pace.total)
                console.print(
                    f"{pace.done:,} of {pace.total:,} {unit} ({share:.1%}), {pace.text()}",
                    soft_wrap=True,
                )

        yield advance
