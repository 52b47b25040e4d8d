"""The moment by which an answer must be there."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from naiad.errors import DeadlineExceeded, InvalidInput


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time, and the number of seconds it was away when it was set."""

    seconds: float
    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline ``seconds`` from now.

        Raises:
            InvalidInput: unless ``seconds`` is a positive, finite number.
        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise InvalidInput(f"timeout is {seconds} s; it must be a positive number of seconds")
        return cls(seconds, time.monotonic() + seconds)

    def remaining(self, server: object) -> float:
        """Return the seconds left to wait for ``server``.

        Raises:
            DeadlineExceeded: when none are.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise self.exceeded(server)
        return left

    def exceeded(self, server: object) -> DeadlineExceeded:
        """Return the error for no answer from ``server`` in time."""
        return DeadlineExceeded(f"no answer from {server} within {self.seconds:g} s")
