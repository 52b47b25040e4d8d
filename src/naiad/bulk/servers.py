"""Load balancing over several servers of one model.

A server has a number of places, each for one request. Of the servers with a free place, the one
whose answer is expected first gets the next request. A server that does not answer rests, for
growing times, and its requests go elsewhere at once; after a rest it gets one request to try.
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
"""Key of a model's metadata that identifies its weights."""

_REST = Backoff(first=0.5, longest=30.0)
_LOOK = 0.5  # seconds between checks of waiting threads for a cancellation
_PROBE = 5.0  # seconds for a server to say that it is ready
# Attempts at a request that is not answered, while servers answer others.
_TRIES = 4
_AGAIN = Backoff(first=0.5, longest=30.0, factor=4.0)  # between those attempts
_MEMORY = 0.2  # weight of the latest answer in a server's pace


@dataclass(slots=True, eq=False)
class Server:
    """A server and its state.

    Attributes:
        client: of the server.
        busy: number of requests under way.
        answered: number of answered requests.
        pace: seconds that a recent answer took.
        failures: in a row; a server that has any gets one request at a time, to try.
        rested: end of its rest.
        version: of its Triton.
    """

    client: Client
    busy: int = 0
    answered: int = 0
    pace: float = 0.0
    failures: int = 0
    rested: float = 0.0
    version: str = ""


class Servers:
    """Several servers of a model; safe to use from ``places`` threads at once."""

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
            concurrency: concurrent requests to each server.
            timeout: seconds for an answer.
            patience: seconds to wait for a server if none answers.
            on_event: called when a server is lost, or back.
            access: the API key and the authority, if servers require them.

        Raises:
            InvalidInput: a URL is malformed, or given twice.
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
        """The model's metadata, the same on all servers."""
        assert self._known is not None, "start() comes first"
        return self._known

    def start(self) -> None:
        """Check which servers answer, and that they serve the same weights.

        Raises:
            Unavailable: no server answers.
            ModelNotFound: a server does not have the model.
            InvalidInput: two servers have different weights.
        """
        reasons: list[str] = []
        for server in self.servers:
            try:
                self._check(server)
            except Unavailable as error:  # noqa: PERF203 - others may answer
                reasons.append(str(error))
                self._rest(server, str(error))
        if self._known is None:
            raise Unavailable("; ".join(reasons))

    def ask(self, request: Request) -> dict[str, Array] | NaiadError:
        """Return the answer of the first free server, or the error of this request.

        Raises:
            Unavailable: no server answered this or any request for ``patience`` seconds.
            NotAllowed: a server requires another key, which is not this request's fault.
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
            # The server is ready, but did not answer: because of this request, or because it is
            # starting a new worker. If it has answered others since, it is the request.
            tries += 1
            if tries >= _TRIES and self._answered_at > began:
                return outcome
            if time.monotonic() - max(began, self._answered_at) > self._patience:
                raise Unavailable(self._nobody(outcome))
            time.sleep(_AGAIN.wait(tries))

    def cancel(self) -> None:
        """End requests under way, and all further ones, with `Unavailable`."""
        # No lock: a signal handler may call this in a thread that holds it.
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
        """Check that a server is ready, with the same weights as the others.

        Raises:
            Unavailable: it is not ready.
            ModelNotFound: it does not have the model.
            InvalidInput: it has other weights.
        """
        if not server.client.ready(self.model, timeout=_PROBE):
            _ = server.client.config(self.model)  # raises the reason, if it is known
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
        """Let a server rest; many requests may find at once that it does not answer."""
        with self._free:
            now = time.monotonic()
            if server.rested > now:
                return
            first = server.failures == 0
            server.failures += 1
            server.rested = now + _REST.wait(server.failures)
            self._free.notify_all()
        if first:
            self._on_event(f"{server.client.url} is not used for now: {reason}")

    def _nobody(self, error: NaiadError | None) -> str:
        urls = ", ".join(server.client.url for server in self.servers)
        last = "" if error is None else f" ({error})"
        return f"no answer from {urls} for {self._patience:g} s{last}"


def model_metadata(client: Client, model: str) -> dict[str, str]:
    """Return the parameters of a served model, `Pipeline.metadata` among them."""
    parameters = client.config(model).get("parameters", {})
    return {name: str(value.get("string_value", "")) for name, value in parameters.items()}
