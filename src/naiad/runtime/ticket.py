"""A request on its way through the service, and who is told of the work."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from naiad.errors import NaiadError, Unavailable
from naiad.pipeline import Request
from naiad.runtime.runner import Outcome

_log = logging.getLogger(__name__)
_WORTH_ASKING = 0.1
"""Seconds. Triton 2.51 is asked over two messages between processes, as long as a reply takes; so a
request that has hardly waited is run and not asked whether it is cancelled."""


class Meter(Protocol):
    """What is told of the work, for metrics; called from several threads."""

    def batch(self, sizes: Mapping[str, int]) -> None:
        """A merged batch was run."""
        ...

    def stage(self, name: str, seconds: float) -> None:
        """Time was spent in a stage."""
        ...

    def reply(self, error: NaiadError | None) -> None:
        """A request was answered."""
        ...

    def restart(self, reason: str) -> None:
        """A worker was lost (``died``, ``hung``, ``not_loaded`` or ``internal``)."""
        ...


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way, and how to answer it.

    ``reply`` is called exactly once, from any thread, and must be done with the outputs when it
    returns; ``cancelled`` may be asked before that, where the request has waited. ``timeout`` is
    how many seconds after its arrival the request is no longer wanted, or None.
    """

    request: Request
    reply: Callable[[Outcome], None]
    cancelled: Callable[[], bool] = bool
    priority: int = 0
    timeout: float | None = None
    arrived: float = field(default_factory=time.perf_counter)

    def unwanted(self) -> Unavailable | None:
        """Why there is no use in running the request, if there is none."""
        waited = time.perf_counter() - self.arrived
        if waited > _WORTH_ASKING and self.cancelled():
            return Unavailable("the client cancelled this request")
        if self.timeout is not None and waited > self.timeout:
            return Unavailable(
                f"the request was not begun within its timeout of {self.timeout:g} s"
            )
        return None

    def answer(self, outcome: Outcome, meter: Meter) -> None:
        """Reply and have it counted; a reply that cannot be sent harms nobody else."""
        try:
            self.reply(outcome)
        except Exception:
            _log.exception("a reply could not be sent")
        meter.reply(outcome if isinstance(outcome, NaiadError) else None)
