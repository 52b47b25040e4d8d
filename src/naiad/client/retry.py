"""When a call is made again: the server was unavailable, and there is time left."""

from __future__ import annotations

import random
import time
from typing import TypedDict

from tenacity import RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from naiad.client.deadline import Deadline
from naiad.errors import Unavailable

FIRST_WAIT = 0.25  # seconds; each further one is twice as long, plus up to this much by chance
LONGEST_WAIT = 5.0
SHORTEST_TRY = 0.05  # with less time left, the last error tells more than a missed deadline


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
        wait = FIRST_WAIT * 2 ** min(rounds - 1, 10)
        return min(wait, LONGEST_WAIT) + random.uniform(0, FIRST_WAIT)


class Policy(TypedDict):
    """Arguments of ``tenacity.Retrying`` and ``tenacity.AsyncRetrying``."""

    retry: retry_base
    wait: wait_base
    stop: stop_base
    reraise: bool


def policy(retries: int, deadline: Deadline, servers: int = 1) -> Policy:
    """Retry ``Unavailable`` up to ``retries`` times, with exponential back-off and jitter.

    Of several ``servers`` all are tried in each of those times, without a wait. No retry starts
    after ``deadline``; the last error is raised as it is.
    """
    return Policy(
        retry=retry_if_exception_type(Unavailable),
        wait=_wait_between_rounds(servers),
        stop=stop_after_attempt((retries + 1) * servers) | _stop_before(deadline),
        reraise=True,
    )
