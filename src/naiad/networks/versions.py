"""Versions of a network for numbers of threads, where its library fixes them when it loads it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from naiad.error_text import described
from naiad.networks import threads

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Versions(Generic[T]):
    """A network for the worker's number of threads, and for more of them once a batch gets them.

    The first batch that may use more has another version loaded beside it, and runs on the one
    that is there. Numbers are rounded down to powers of two: each version holds the weights again.
    """

    def __init__(self, load: Callable[[int], T], number: int | None = None) -> None:
        """Load a network.

        Args:
            load: takes a number of threads and returns the network; raises as it likes.
            number: of threads of all batches; by default each batch's own.
        """
        self._load = load
        self._first = self._wanted = number or threads.current()
        self._loaded = {self._first: load(self._first)}
        self._begun = {self._first}
        if number is None:
            threads.follow(self._use)

    @property
    def current(self) -> T:
        """The version for the current batch."""
        loaded = self._loaded
        return loaded[max(one for one in loaded if one <= self._wanted)]

    def _use(self, number: int) -> None:
        self._wanted = max(self._first, 1 << (number.bit_length() - 1))
        if self._wanted not in self._begun:
            self._begun.add(self._wanted)
            threading.Thread(
                target=self._add, args=(self._wanted,), name="versions", daemon=True
            ).start()

    def _add(self, number: int) -> None:
        try:
            made = self._load(number)
        except Exception as error:
            _log.warning(
                "the network runs with fewer threads; it was not loaded for %d: %s",
                number,
                described(error),
            )
        else:
            self._loaded = {**self._loaded, number: made}  # read by another thread
