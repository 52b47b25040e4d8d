"""The servers of a client, taken in turn; unavailable ones rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from naiad.backoff import Backoff
from naiad.client.address import Address
from naiad.client.transport import Calls
from naiad.errors import DeadlineExceeded, InvalidInput, NaiadError, Unavailable

C = TypeVar("C", bound=Calls)

# A call to a host that is gone takes many seconds to fail, so it is not retried at once.
REST = Backoff(first=1.0, longest=30.0)


@dataclass(slots=True)
class _Member(Generic[C]):
    address: Address
    transport: C
    failures: int = 0  # since it last answered
    rests_until: float = 0.0


class Servers(Generic[C]):
    """One or more servers of the same models, asked in turn; safe to share between threads.

    A server that was unavailable rests: it is asked only if all others rest too.
    """

    def __init__(self, members: Iterable[tuple[Address, C]]) -> None:
        """Start with the first of ``members``, each an address and the transport to it."""
        self._members = [_Member(address, transport) for address, transport in members]
        self._next = 0
        self._answered = False
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of servers."""
        return len(self._members)

    def __str__(self) -> str:
        """Return all addresses, as a client takes them."""
        return ",".join(str(member.address) for member in self._members)

    @property
    def calls(self) -> C:
        """The maker of calls, which are the same for all servers."""
        return self._members[0].transport

    @property
    def answered(self) -> bool:
        """Whether one of them has ever answered, if only to refuse a request."""
        return self._answered

    @property
    def transports(self) -> Sequence[C]:
        """One to each server."""
        return [member.transport for member in self._members]

    def only(self, what: str) -> None:
        """Raise `InvalidInput` for ``what`` needs one server, if there are several."""
        if len(self) > 1:
            raise InvalidInput(
                f"{what} takes a client of one server, and this one has {len(self)}: {self}; make "
                f"one for each"
            )

    @contextmanager
    def turn(self) -> Generator[C]:
        """Give the transport to the next server, and record its answer or error."""
        member = self._take()
        try:
            yield member.transport
        except Unavailable:
            member.failures += 1
            member.rests_until = time.monotonic() + REST.wait(member.failures)
            raise
        except DeadlineExceeded:
            raise
        except NaiadError:
            self._answered = True
            raise
        self._answered = True
        member.failures, member.rests_until = 0, 0.0

    def _take(self) -> _Member[C]:
        now = time.monotonic()
        with self._lock:
            count = len(self._members)
            order = [(self._next + step) % count for step in range(count)]
            # The next that does not rest; if all do, the one whose rest ends first.
            chosen = min(order, key=lambda number: max(self._members[number].rests_until, now))
            self._next = (chosen + 1) % count
            return self._members[chosen]
