"""Retries of calls while the server is unavailable and time is left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from naiad.backoff import Backoff
from naiad.client import status
from naiad.client.deadline import Deadline
from naiad.errors import Unavailable

BACKOFF = Backoff(first=0.25, longest=2.0, jitter=0.25)  # a restarted server answers after seconds
FEW_RETRIES = 3
SHORTEST_TRY = 0.05  # with less time left, the last error says more than a missed deadline


class Asked(Protocol):
    """The servers that a call is made to."""

    @property
    def answered(self) -> bool:
        """Whether one of them has ever answered."""
        ...

    def __len__(self) -> int:
        """Return the number of servers."""
        ...


@dataclass(slots=True)
class Attempts:
    """The attempts of one call: the first and up to ``retries`` more, with growing waits.

    Without a number they go on until the ``deadline``, with two exceptions: at most `FEW_RETRIES`
    retries where no server has ever answered, and after workers have died of the request, as
    further attempts would keep the model from others.

    Each retry tries all of several ``servers``, without a wait between them.
    """

    retries: int | None
    deadline: Deadline
    servers: Asked
    made: int = 0
    deadly: int = 0  # attempts since the server reported that the request kills its workers

    def wait_after(self, error: Unavailable) -> float:
        """Return the seconds to wait before the next attempt.

        Raises:
            Unavailable: ``error`` itself, if this was the last attempt.
        """
        self.made += 1
        rounds, begun = divmod(self.made, len(self.servers))
        wait = 0.0 if begun else BACKOFF.wait(rounds)
        if (
            self._is_last(rounds, error)
            or time.monotonic() + wait > self.deadline.at - SHORTEST_TRY
        ):
            raise error
        return wait

    def _is_last(self, rounds: int, error: Unavailable) -> bool:
        if self.retries is not None:
            return rounds > self.retries
        if self.deadly or status.is_deadly(error):
            self.deadly += 1
        return self.deadly > FEW_RETRIES or (not self.servers.answered and rounds > FEW_RETRIES)
