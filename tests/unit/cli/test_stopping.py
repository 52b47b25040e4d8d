"""A signal ends a command at any moment."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable

import pytest

from naiad.cli.stopping import Stopped, finishing, interruptible
from naiad.errors import Unavailable


class Dying:
    """An object that gets a signal in ``__del__``, where Python drops exceptions."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)
        sum(range(3))


def run(work: Callable[[], object], *, once: bool = False) -> None:
    """Do some work that can be stopped."""
    with interruptible(once=once) as wakes:
        wakes.append(lambda: None)
        work()


def stopped_by(number: signal.Signals, *, destructor: bool) -> None:
    if not destructor:
        signal.raise_signal(number)
    Dying(number)
    raise Unavailable("given up, as it was woken")


@pytest.mark.parametrize("destructor", [False, True], ids=["anywhere", "in a destructor"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_is_stopped(
    number: signal.Signals, destructor: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    before, hook = signal.getsignal(number), sys.unraisablehook
    with pytest.raises(Stopped) as stopped:
        run(lambda: stopped_by(number, destructor=destructor), once=True)
    assert stopped.value.status == 128 + number
    assert capfd.readouterr() == ("", "")
    assert signal.getsignal(number) == before
    assert sys.unraisablehook == hook


def test_who_waits_is_woken() -> None:
    woken: list[str] = []
    with contextlib.suppress(Stopped), interruptible() as wakes:
        wakes.append(lambda: woken.append("woken"))
        signal.raise_signal(signal.SIGTERM)
    assert woken == ["woken"]


def test_other_errors_are_as_they_are() -> None:
    def fail() -> None:
        raise Unavailable("gone")

    with pytest.raises(Unavailable, match="gone"):
        run(fail)


def test_the_first_signal_asks_for_the_end_and_the_second_stops() -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with finishing(lambda: said.append("stopping")) as asked:
        assert not asked.wait(0)
        signal.raise_signal(signal.SIGTERM)
        assert asked.is_set()
        assert said == ["stopping"]
        with pytest.raises(Stopped) as stopped:
            signal.raise_signal(signal.SIGINT)
    assert stopped.value.status == 130
    assert said == ["stopping"]
    assert signal.getsignal(signal.SIGINT) == before
