"""When a call is made again: the server was unavailable, and there is time left."""

from __future__ import annotations

import random
import time
from typing import Protocol, TypedDict

from tenacity import RetryCallState, retry_if_exception_type
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from naiad.client import status
from naiad.client.deadline import Deadline
from naiad.errors import Unavailable

FIRST_WAIT = 0.25  # seconds; each further one is twice as long, plus up to this much by chance
LONGEST_WAIT = 2.0  # a server that is restarted answers after seconds
FEW_RETRIES = 3
SHORTEST_TRY = 0.05  # with less time left, the last error tells more than a missed deadline


class Asked(Protocol):
    """The servers that a call is made to."""

    @property
    def answered(self) -> bool:
        """Whether one of them has ever answered."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...


class _stop_after(stop_base):  # noqa: N801 - as below
    """Stop after ``retries`` rounds; without that number, when there is no hope.

    That is a server that has never answered, or a request that its workers have died of: further
    tries would keep the model from others.
    """

    def __init__(self, retries: int | None, servers: Asked) -> None:
        self.retries = retries
        self.servers = servers
        self.deadly = 0  # tries since the server has called the request that

    def __call__(self, retry_state: RetryCallState) -> bool:
        tries = retry_state.attempt_number
        if self.retries is not None:
            return tries >= (self.retries + 1) * len(self.servers)
        outcome = retry_state.outcome
        if self.deadly or (outcome is not None and status.is_deadly(outcome.exception())):
            self.deadly += 1
        if self.deadly > FEW_RETRIES:
            return True
        return not self.servers.answered and tries >= (FEW_RETRIES + 1) * len(self.servers)


class _stop_before(stop_base):  # noqa: N801 - tenacity's conditions are named as functions
    """Stop when the next wait would leave no time for a try."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline

    def __call__(self, retry_state: RetryCallState) -> bool:
        return time.monotonic() + retry_state.upcoming_sleep > self.deadline.at - SHORTEST_TRY


class _wait_between_rounds(wait_base):  # noqa: N801
    """Wait once all ``servers`` were tried: exponentially longer, with jitter."""

    def __init__(self, servers: int) -> None:
        self.servers = servers

    def __call__(self, retry_state: RetryCallState) -> float:
        rounds, begun = divmod(retry_state.attempt_number, self.servers)
        if begun:
            return 0.0
        wait = FIRST_WAIT * 2 ** min(rounds - 1, 10) + random.uniform(0, FIRST_WAIT)
        return min(wait, LONGEST_WAIT - random.uniform(0, FIRST_WAIT))


class Policy(TypedDict):
    """Arguments of ``tenacity.Retrying`` and ``tenacity.AsyncRetrying``."""

    retry: retry_base
    wait: wait_base
    stop: stop_base
    reraise: bool


def policy(retries: int | None, deadline: Deadline, servers: Asked) -> Policy:
    """Retry ``Unavailable`` up to ``retries`` times, with exponential back-off and jitter.

    Without a number, until the ``deadline``: but up to `FEW_RETRIES` times where no server has
    ever answered, and as often after workers have died of the request.

    Of several ``servers`` all are tried in each of those times, without a wait. No retry starts
    after ``deadline``; the last error is raised as it is.
    """
    return Policy(
        retry=retry_if_exception_type(Unavailable),
        wait=_wait_between_rounds(len(servers)),
        stop=_stop_after(retries, servers) | _stop_before(deadline),
        reraise=True,
    )
