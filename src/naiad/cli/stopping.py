"""Ctrl-C and SIGTERM: a command is ended where it is, and says by its status what has ended it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """A signal has come; ``status`` is what a shell says of a command that it ends: 130 or 143."""

    def __init__(self, number: int) -> None:
        """Remember which signal."""
        super().__init__()
        self.status = 128 + number


@contextmanager
def interruptible(*, once: bool = False) -> Generator[list[Callable[[], None]]]:
    """Raise `Stopped` on Ctrl-C and SIGTERM, in the background too, where shells ignore Ctrl-C.

    What is put into the list that this gives is called first, to wake whoever waits; an error of
    those is `Stopped`, too. With ``once`` a second signal ends the process where it is.
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
        # What is raised while Python runs a destructor is dropped. What was woken then fails.
        if first and came:
            raise came[-1] from None
        raise
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
