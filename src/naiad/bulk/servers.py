"""Several servers of one model: work goes to whoever answers soonest, and away from the dead.

A server has a number of places, each for one request. Whoever answers faster has a free place
sooner, and of several with a free place the one is taken whose answer is expected first. A server
that does not answer rests, for growing times, and what it had goes elsewhere at once; after a rest
one request is tried.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from naiad.backoff import Backoff
from naiad.client import Client
from naiad.client.access import NO_ACCESS, Access
from naiad.client.address import Address
from naiad.core.pipeline import Request
from naiad.core.schema import Array
from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    NaiadError,
    NotAllowed,
    Unavailable,
)

SHA256: Final = "weights_sha256"
"""The fact about a model, among its metadata, that tells its weights."""

_REST = Backoff(first=0.5, longest=30.0)
_LOOK = 0.5  # seconds after which whoever waits looks whether all is given up
_PROBE = 5.0  # seconds that a server has to say it is ready
# So often a request is sent that servers which answer others do not answer.
_TRIES = 4
_AGAIN = Backoff(first=0.5, longest=30.0, factor=4.0)  # before it is sent again
_MEMORY = 0.2  # of the latest answer in a server's pace


@dataclass(slots=True, eq=False)
class Server:
    """One server, and how it does.

    Attributes:
        client: of the server.
        busy: requests that it has.
        answered: requests that it has answered.
        pace: seconds that an answer takes, of late.
        failures: in a row; a server that has any gets one request at a time, to try.
        rested: when its rest is over.
        version: of Triton, as it says.
    """

    client: Client
    busy: int = 0
    answered: int = 0
    pace: float = 0.0
    failures: int = 0
    rested: float = 0.0
    version: str = ""


class Servers:
    """Asks one of several servers; safe to use from ``places`` threads at once."""

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        *,
        concurrency: int = 16,
        timeout: float = 60.0,
        patience: float = 600.0,
        on_event: Callable[[str], None] = lambda text: None,
        access: Access = NO_ACCESS,
    ) -> None:
        """Prepare to ask ``model`` at each of ``urls``.

        Args:
            urls: of the servers, as `naiad.Client` takes them.
            model: its name.
            concurrency: requests that each server has at once.
            timeout: seconds for an answer.
            patience: seconds to wait for a server when none answers.
            on_event: told when a server is lost, or back.
            access: the API key and the authority, where servers want them.

        Raises:
            InvalidInput: a URL cannot be, or is given twice.
        """
        self.model = model
        self._concurrency = concurrency
        self._patience = patience
        self._on_event = on_event
        self._free = threading.Condition()
        self._cancelled = False
        self._answered_at = time.monotonic()
        known = [str(address) for address in Address.parse_all(",".join(urls))]
        # No retries: another server may answer at once.
        self.servers = [
            Server(Client(url, timeout=timeout, retries=0, api_key=access.api_key, ca=access.ca))
            for url in known
        ]
        self.places = concurrency * len(known)
        self._known: dict[str, str] | None = None

    @property
    def metadata(self) -> dict[str, str]:
        """That of the model, whose weights are the same on all servers."""
        assert self._known is not None, "start() comes first"
        return self._known

    def start(self) -> None:
        """Find out who is there, and that they all serve the same.

        Raises:
            Unavailable: nobody is.
            ModelNotFound: a server does not have the model.
            InvalidInput: two servers have it with other weights.
        """
        reasons: list[str] = []
        for server in self.servers:
            try:
                self._check(server)
            except Unavailable as error:  # noqa: PERF203 - the others may be there
                reasons.append(str(error))
                self._rest(server, str(error))
        if self._known is None:
            raise Unavailable("; ".join(reasons))

    def ask(self, request: Request) -> dict[str, Array] | NaiadError:
        """Give the answer of the server that is free first, or why the request has none.

        Raises:
            Unavailable: for longer than ``patience`` seconds nobody answers, this or any request.
            NotAllowed: a server wants another key, which is no fault of the request's.
        """
        began = time.monotonic()
        tries = 0
        while True:
            server = self._take()
            alive = True
            try:
                outcome = self._try(server, request)
            except (Unavailable, DeadlineExceeded, ModelNotFound) as error:
                alive = self._is_ready(server)
                outcome = error
            finally:
                self._leave(server)
            if self._cancelled:
                raise Unavailable("given up")
            if not isinstance(outcome, Unavailable | DeadlineExceeded | ModelNotFound):
                return outcome
            if not alive:
                self._rest(server, str(outcome))
                continue
            # It is there and does not answer this: it may be the request, or be busy with a new
            # worker. Only where others have been answered since is it the request.
            tries += 1
            if tries >= _TRIES and self._answered_at > began:
                return outcome
            if time.monotonic() - max(began, self._answered_at) > self._patience:
                raise Unavailable(self._nobody(outcome))
            time.sleep(_AGAIN.wait(tries))

    def cancel(self) -> None:
        """Give up what is under way, and whatever is asked from now on, with `Unavailable`."""
        # No lock: this may be called by a signal, in a thread that has it.
        self._cancelled = True
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for server in self.servers:
            server.client.close()

    def __enter__(self) -> Servers:
        """Return the servers themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()

    def _try(self, server: Server, request: Request) -> dict[str, Array] | NaiadError:
        if server.failures:
            self._check(server)
            with self._free:
                back = server.failures > 0
                server.failures = 0
                self._free.notify_all()
            if back:
                self._on_event(f"{server.client.url} is back")
        sent = time.monotonic()
        try:
            outcome = server.client.infer(
                self.model, request.arrays, parameters=request.parameters, request_id=request.id
            )
        except (Unavailable, DeadlineExceeded, ModelNotFound, NotAllowed):
            raise
        except NaiadError as error:
            outcome = error
        took = time.monotonic() - sent
        with self._free:
            server.answered += 1
            server.pace += (took - server.pace) * (_MEMORY if server.pace else 1.0)
            self._answered_at = time.monotonic()
        return outcome

    def _check(self, server: Server) -> None:
        """Make sure that a server is there, and has the model that the others have.

        Raises:
            Unavailable: it is not there.
            ModelNotFound: it does not have the model.
            InvalidInput: it has other weights.
        """
        if not server.client.ready(self.model, timeout=_PROBE):
            _ = server.client.config(self.model)  # says what is the matter
            raise Unavailable(f"{server.client.url}: model {self.model} is not ready")
        found = model_metadata(server.client, self.model)
        server.version = str(server.client.metadata().get("version", ""))
        if self._known is None:
            self._known = found
        elif found.get(SHA256) != self._known.get(SHA256):
            raise InvalidInput(
                f"{server.client.url} has {self.model} with weights {found.get(SHA256)}; the "
                f"other servers have {self._known.get(SHA256)}"
            )

    def _take(self) -> Server:
        """Wait for a place at a server."""
        with self._free:
            while not self._cancelled:
                now = time.monotonic()
                ready = [
                    server
                    for server in self.servers
                    if server.rested <= now
                    and server.busy < (1 if server.failures else self._concurrency)
                ]
                if ready:
                    server = min(ready, key=lambda s: (s.busy + 1) * s.pace)
                    server.busy += 1
                    return server
                waits = [server.rested - now for server in self.servers if server.rested > now]
                if len(waits) == len(self.servers) and now - self._answered_at > self._patience:
                    raise Unavailable(self._nobody(None))
                self._free.wait(min([*waits, _LOOK]))
        raise Unavailable("given up")

    def _leave(self, server: Server) -> None:
        with self._free:
            server.busy -= 1
            self._free.notify()

    def _is_ready(self, server: Server) -> bool:
        return server.client.ready(self.model, timeout=_PROBE)

    def _rest(self, server: Server, reason: str) -> None:
        """Leave a server out for a while; many requests may find at once that it is gone."""
        with self._free:
            now = time.monotonic()
            if server.rested > now:
                return
            first = server.failures == 0
            server.failures += 1
            server.rested = now + _REST.wait(server.failures)
            self._free.notify_all()
        if first:
            self._on_event(f"{server.client.url} is left out for now: {reason}")

    def _nobody(self, error: NaiadError | None) -> str:
        urls = ", ".join(server.client.url for server in self.servers)
        last = "" if error is None else f" ({error})"
        return f"no answer from {urls} for {self._patience:g} s{last}"


def model_metadata(client: Client, model: str) -> dict[str, str]:
    """What `Pipeline.metadata` of a served model says, with the parameters it is served with."""
    parameters = client.config(model).get("parameters", {})
    return {name: str(value.get("string_value", "")) for name, value in parameters.items()}
