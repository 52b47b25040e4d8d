"""Look-up of the last requests of a running server, and what is said of one in words.

On its own host they are in shared memory; of another host a health port tells of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Final

import urllib3

from naiad.client.access import control_headers
from naiad.client.address import Address
from naiad.control_key import HTTP_HEADER, VARIABLE
from naiad.errors import NotAllowed, Unavailable
from naiad.server_card import find_card
from naiad.triton.health import REQUESTS_PATH
from naiad.triton.history import Found, History, PastRequest
from naiad.typed_json import decode

_PATIENCE: Final = 0.5  # seconds: a request is in the history just after its answer has been sent
_POLL: Final = 0.05  # seconds
_HEALTH_PORT: Final = 8003


class PastRequests:
    """The last requests of the server at a URL."""

    def __init__(self, url: str, health: str | None = None) -> None:
        """Ask nothing yet.

        Args:
            url: of the server, as for `naiad.Client`.
            health: URL of its health port, if it is on another host or behind a tunnel.

        Raises:
            InvalidInput: a URL is invalid.
        """
        self._address = Address.parse(url)
        given = health if health is None or "://" in health else f"http://{health}"
        self._health = None if given is None else Address.parse(given)

    def find(self, wanted: str) -> Found:
        """Find requests by their id, by the trace that they are of, or by ``#NUMBER``.

        One that has just been answered is waited for.

        Raises:
            Unavailable: no health port answers, or the server keeps no history.
            NotAllowed: there is no control key for the port, or another.
        """
        return self._waited(wanted, 0)

    def last(self, count: int = 1) -> Found:
        """Find the last requests, without the server's own probes; raises as :meth:`find`."""
        return self._waited(None, count)

    def _waited(self, wanted: str | None, count: int) -> Found:
        deadline = time.monotonic() + _PATIENCE
        found = self._look(wanted, count)
        while not found.requests and time.monotonic() < deadline:
            time.sleep(_POLL)
            found = self._look(wanted, count)
        return found

    def _look(self, wanted: str | None, count: int) -> Found:
        address = self._address
        card = find_card(address.place) if self._health is None else None
        if card is not None and card.history:
            with closing(History.open(card.history)) as history:
                return history.last(count) if wanted is None else history.find(wanted)
        if card is not None:
            raise Unavailable(f"the server at {address} keeps no history (--history 0)")
        if self._health is None and address.is_local:
            raise Unavailable(
                f"no server of this user at {address}; give --url, or --health with the URL of a "
                "health port, such as one that a tunnel or `kubectl port-forward` brings here"
            )
        at = self._health or Address.parse(f"http://{address.host}:{_HEALTH_PORT}")
        return _asked(at, address, {"last": str(count)} if wanted is None else {"id": wanted})


def _asked(at: Address, server: Address, question: dict[str, str]) -> Found:
    """Ask a health port."""
    # The key is that of the server, whose own port names its file.
    key = control_headers(at, HTTP_HEADER) or (
        control_headers(server, HTTP_HEADER) if at.is_local and server.is_local else {}
    )
    if not key:
        raise NotAllowed(
            f"{at} tells of requests only with the server's control key: set {VARIABLE}, and reach "
            "the port on this host (ssh -L 8003:localhost:8003, kubectl port-forward) or by https"
        )
    try:
        answer = urllib3.request(
            "GET", f"{at}{REQUESTS_PATH}", fields=question, headers=key, timeout=10.0, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"no health port at {at}: {error}") from None
    if answer.status == 403:
        raise NotAllowed(
            f"{at} does not take the control key that was sent; a server makes one at each start"
        )
    if answer.status != 200:
        raise Unavailable(f"{at}{REQUESTS_PATH} answers {answer.status}: {answer.data.decode()}")
    return decode(answer.data, Found)


def nothing_found(found: Found, wanted: str | None) -> str:
    """Return why there is no request with an id, or none at all."""
    if wanted is None or found.since is None:
        return "the server has answered no request yet"
    back = (
        f"the server keeps its last {found.kept:,} requests"
        if found.kept < found.total
        else f"the server has answered {found.total:,} requests"
    )
    return f"no request {wanted}: {back}, the oldest of {clock(found.since)}"


def clock(seconds: float) -> str:
    """Return a time, in seconds since 1970, as this host's clock shows it."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "milliseconds")


def milliseconds(seconds: float) -> str:
    """Return a duration with its unit."""
    return f"{seconds * 1e3:,.2f} ms"


def name_of(one: PastRequest) -> str:
    """Return the id of a request, and its number on the server."""
    return f"{one.id} (#{one.number})" if one.id else f"#{one.number}"


def sizes_of(one: PastRequest) -> str:
    """Return the sizes of a request by dimension, without those that are 0."""
    return ", ".join(f"{n:,} {dim}" for dim, n in one.rows.items() if n and dim != "requests")


def way_of(one: PastRequest) -> Iterator[str]:
    """Yield lines about the size of a request, its trace, and its batch."""
    if sizes := sizes_of(one):
        yield f"size: {sizes}"
    if one.trace:
        yield f"trace: {one.trace}, below span {one.span}"
    if one.batch is None:
        yield "it was in no batch that a worker answered"
        return
    batch, others = one.batch, one.batch.requests - 1
    with_whom = "alone" if not others else f"with {others:,} other{'s' if others > 1 else ''}"
    apart = f", run as {batch.merged} merged batches" if batch.merged > 1 else ""
    where = f"on worker {batch.worker} (process {batch.pid})"
    where += f" with {batch.threads} threads" if batch.threads > 1 else ""
    yield f"batch {batch.number}, {with_whom}{apart}, {where}"


def dimensions_of(one: PastRequest) -> Iterator[tuple[str, int, int]]:
    """Yield each dimension, with its size in a request and in the request's batch.

    Those that ``prepare`` makes are known of the batch only.
    """
    for dim, rows in one.batch.rows.items() if one.batch is not None else ():
        own = one.rows.get(dim, 0)
        if rows or own:
            yield dim, own, rows
