"""Ctrl-C and SIGTERM: stop a command, with the exit status of the signal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """A signal arrived; ``status`` is the exit status a shell reports for it: 130 or 143."""

    def __init__(self, number: int) -> None:
        """Set the status for signal ``number``."""
        super().__init__()
        self.status = 128 + number


@contextmanager
def interruptible(*, once: bool = False) -> Generator[list[Callable[[], None]]]:
    """Raise `Stopped` on Ctrl-C and SIGTERM, in the background too, where shells ignore Ctrl-C.

    Yield a list of functions to call first, to wake waiting threads; errors that they raise then
    become `Stopped`, too. With ``once`` a second signal ends the process at once.
    """
    first: list[Callable[[], None]] = []
    came: list[Stopped] = []
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        if once:
            for each in numbers:
                signal.signal(each, signal.SIG_DFL)
        for call in first:
            call()
        came.append(Stopped(number))
        raise came[-1]

    def drop(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, Stopped):
            hook(dropped)

    before = {number: signal.signal(number, stop) for number in numbers}
    hook, sys.unraisablehook = sys.unraisablehook, drop
    try:
        yield first
    except Exception:
        # Python drops exceptions raised inside a destructor; then a woken thread has failed.
        if first and came:
            raise came[-1] from None
        raise
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def finishing(say: Callable[[], None]) -> Generator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets, after ``say``; the next is `Stopped`.

    So a command can end after the work in hand, or at once. A third ends the process.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            for each in numbers:
                signal.signal(each, signal.SIG_DFL)
            raise Stopped(number)
        asked.set()
        say()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
