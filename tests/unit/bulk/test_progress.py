"""Speed, progress and remaining time, on a terminal and in a batch system's log."""

from __future__ import annotations

from io import StringIO

import pytest

from naiad.bulk import progress
from naiad.bulk.progress import Pace, shown
from naiad.console import PlainConsole


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_two_minutes() -> None:
    clock = Clock()
    pace = Pace(total=10_000, done=4_000, clock=clock)
    assert (pace.rate, pace.left, pace.text()) == (0.0, None, "waiting")
    for _ in range(300):  # slow at first: 1 per second
        clock.now += 1
        pace.add(1)
    assert pace.rate == pytest.approx(1)
    for _ in range(125):
        clock.now += 1
        pace.add(10)
    assert pace.rate == pytest.approx(10)
    assert pace.left == pytest.approx((10_000 - 4_000 - 300 - 1250) / 10)
    assert pace.text() == "10.0 per second, 0:07:25 left"


def test_failures_are_told_and_the_end_is_the_end() -> None:
    clock = Clock()
    pace = Pace(total=3, failed=1, done=1, clock=clock)
    clock.now += 2
    pace.add(2, 1)
    assert pace.text() == "1.0 per second, 0:00:00 left, 2 failed"
    assert Pace(total=0).left == 0.0


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_FIRST_LINE", 0.0)
    console = PlainConsole(file=StringIO(), width=200)
    with shown(Pace(total=8, done=2), "events", console) as advance:
        for _ in range(4):
            advance(1, 0)
    assert isinstance(console.file, StringIO)
    (line,) = console.file.getvalue().splitlines()
    assert line.startswith("3 of 8 events (37.5%), ")


def test_a_terminal_has_a_bar() -> None:
    console = PlainConsole(file=StringIO(), width=120, force_terminal=True)
    with shown(Pace(total=8, done=2), "events", console) as advance:
        advance(6, 1)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "8/8" in text
    assert "1 failed" in text
