"""Number of threads that the numeric libraries may use for the current batch.

The native backend gives a long batch the cores that would idle, and tells its worker their number
with the batch. Libraries that run the model follow it::

    threads.follow(torch.set_num_threads)

It belongs to the process, as the libraries' own settings do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

Apply: TypeAlias = Callable[[int], object]

_number: int | None = None
_followers: list[Apply] = []


def current() -> int:
    """Return the number for the current batch; while a model loads, that of any batch.

    Outside of workers it is ``OMP_NUM_THREADS``, or 1.
    """
    return int(os.environ.get("OMP_NUM_THREADS") or 1) if _number is None else _number


def follow(apply: Apply) -> None:
    """Call ``apply`` with the worker's number now, and with each other one before its batch.

    Call it while the model loads, in ``setup``: a model without any follower always gets one
    number. ``apply`` runs in the thread that runs ``forward``.
    """
    if _number is not None:
        apply(_number)
    if apply not in _followers:
        _followers.append(apply)


def is_followed() -> bool:
    """Return True if a change of the number has an effect."""
    return bool(_followers)


def use(number: int) -> None:
    """Set the number, and tell all followers if it is another."""
    global _number
    if number != _number:
        _number = number
        for apply in _followers:
            apply(number)
