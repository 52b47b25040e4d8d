"""Deadlines of calls."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from naiad.errors import DeadlineExceeded, InvalidInput


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time, and the timeout in seconds that it was set from."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline ``seconds`` from now.

        Raises:
            InvalidInput: ``seconds`` is not a positive, finite number.
        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise InvalidInput(f"timeout is {seconds} s; it must be a positive number of seconds")
        return cls(seconds, time.monotonic() + seconds)

    def remaining(self, server: object) -> float:
        """Return the seconds left to wait for ``server``.

        Raises:
            DeadlineExceeded: no time is left.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise self.exceeded(server)
        return left

    def exceeded(self, server: object) -> DeadlineExceeded:
        """Return the error for a ``server`` that did not answer in time."""
        return DeadlineExceeded(f"no answer from {server} within {self.seconds:g} s")
