"""A progress bar on standard error for many requests."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from operator import length_hint


@contextmanager
def progress_bar(
    show: bool, label: str, items: object
) -> Generator[Callable[[], None], None, None]:
    """Give a function to call after each item; it does nothing unless ``show``.

    The total is the length of ``items``, if it has one.
    """
    if not show:
        yield lambda: None
        return
    from naiad import console  # rich is slow to import

    done = count(1)
    with console.progress_bar(label, length_hint(items) or None, keep=True) as advance:
        yield lambda: advance(next(done))
