"""Ctrl-C and SIGTERM: a command is ended where it is, and says by its status what has ended it."""

from __future__ import annotations

import signal
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

    What is put into the list that this gives is called first, to wake whoever waits. With ``once``
    a second signal ends the process where it is.
    """
    first: list[Callable[[], None]] = []
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int, frame: FrameType | None) -> None:
        if once:
            for each in numbers:
                signal.signal(each, signal.SIG_DFL)
        for call in first:
            call()
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield first
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
