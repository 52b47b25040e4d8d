"""A server's addresses, and requests that need no client."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from naiad.client import ModelInfo
from naiad.control_key import HTTP_HEADER
from naiad.errors import EngineError
from naiad.gate.unix_http import UnixConnection
from naiad.triton.hosts import reachable
from naiad.triton.prometheus import Sample, parse_metrics

GRPC_SUFFIX = 8001
"""Port that Triton appends to the path of its gRPC socket (seen in 2.51)."""


_POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class TritonSockets:
    """The Unix sockets on which Triton listens behind a gate.

    Attributes:
        directory: their folder, which only the server's user may enter.
    """

    directory: Path

    def make_room(self) -> None:
        """Make the directory, and remove what a dead Triton left there."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        for path in (self.http, self.grpc, self.metrics):
            path.unlink(missing_ok=True)

    @property
    def http(self) -> Path:
        """Socket of KServe v2 over HTTP."""
        return self.directory / "http"

    @property
    def grpc(self) -> Path:
        """Socket of KServe v2 over gRPC."""
        return self.directory / f"grpc:{GRPC_SUFFIX}"

    @property
    def ui(self) -> Path:
        """Socket of the page and the tasks over HTTP, which are no part of Triton."""
        return self.directory / "ui"

    @property
    def metrics(self) -> Path:
        """Socket of Prometheus metrics over HTTP."""
        return self.directory / "metrics"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a server, for clients and for its own process.

    Attributes:
        address: the IP address on which it listens.
        ports: for ``HTTP``, ``gRPC``, ``metrics`` and ``page``.
        grpc_tls: True if Triton itself encrypts gRPC; it has TLS only there.
        gate_tls: True if a gate in front encrypts both.
        sockets: Triton's own sockets, if a gate stands in front.
        public_socket: the Unix socket that replaces the HTTP and gRPC ports.
        control_key: the key of the repository's index.
        metrics_address: the IP address of the metrics.
        ui: True if the page is served.
    """

    address: str
    ports: Mapping[str, int]
    grpc_tls: bool = False
    gate_tls: bool = False
    sockets: TritonSockets | None = None
    public_socket: Path | None = None
    control_key: str = ""
    metrics_address: str = ""
    ui: bool = False

    @property
    def host(self) -> str:
        """Address at which this machine reaches the server; IPv6 in brackets."""
        return reachable(self.address)

    @property
    def grpc_url(self) -> str:
        """Such as ``127.0.0.1:8001``, ``grpcs://127.0.0.1:8001`` or ``unix:/run/naiad.sock``."""
        if self.public_socket is not None:
            return f"unix:{self.public_socket}"
        encrypted = self.grpc_tls or self.gate_tls
        return f"{'grpcs://' if encrypted else ''}{self.host}:{self.ports['gRPC']}"

    @property
    def http_url(self) -> str:
        """Such as ``http://127.0.0.1:8000``; "" if there is only a socket."""
        if self.public_socket is not None:
            return ""
        return f"{'https' if self.gate_tls else 'http'}://{self.host}:{self.ports['HTTP']}"

    @property
    def urls(self) -> dict[str, str]:
        """URLs for clients that exist of ``gRPC``, ``HTTP``, ``page`` and ``metrics``."""
        urls = {"gRPC": self.grpc_url, "HTTP": self.http_url, "page": self.page_url}
        urls |= {"metrics": self.metrics_url}
        return {use: url for use, url in urls.items() if url}

    @property
    def own_url(self) -> str:
        """URL of Triton itself: gRPC, or HTTP if gRPC has TLS with the user's certificates."""
        if self.sockets is not None:
            return f"unix:{self.sockets.grpc}"
        return self.http_url if self.grpc_tls else self.grpc_url

    @property
    def page_url(self) -> str:
        """Such as ``http://127.0.0.1:7860/ui``; "" without a page, or with only a socket."""
        if not self.ui or self.public_socket is not None:
            return ""
        if self.sockets is not None:
            return f"{self.http_url}/ui"
        return f"http://{self.host}:{self.ports['page']}/ui"

    @property
    def metrics_url(self) -> str:
        """Such as ``http://127.0.0.1:8002/metrics``."""
        host = reachable(self.metrics_address or self.address)
        return f"http://{host}:{self.ports['metrics']}/metrics"

    def metrics(self) -> list[Sample]:
        """Read all numbers of ``/metrics``.

        Raises:
            EngineError: the server does not answer, as for :meth:`index`.
        """
        return list(parse_metrics(self.metrics_text()))

    def metrics_text(self) -> str:
        """Read ``/metrics`` as Triton writes it.

        Raises:
            EngineError: the server does not answer, as for :meth:`index`.
        """
        return self._ask("metrics", "GET", "/metrics").decode(errors="replace")

    def wait_for_http(self, seconds: float) -> None:
        """Return when HTTP accepts connections, which is after Triton logs so (2.51)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.closing(self._connection("HTTP")) as connection:
                try:
                    connection.connect()
                except OSError:
                    time.sleep(_POLL)
                else:
                    return

    def index(self) -> tuple[ModelInfo, ...]:
        """Return the state of each version of each model in the server's repositories."""
        index = json.loads(self._ask("HTTP", "POST", "/v2/repository/index"))
        return tuple(
            ModelInfo(m["name"], m.get("version", ""), m.get("state", ""), m.get("reason", ""))
            for m in index
        )

    def _ask(self, use: str, method: str, path: str) -> bytes:
        # Closed at once: an idle connection delays Triton's shutdown by its whole exit timeout.
        with contextlib.closing(self._connection(use)) as connection:
            try:
                connection.request(method, path, headers={HTTP_HEADER: self.control_key})
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise EngineError(f"the server does not answer {path}: {error}") from error
        if answer.status != 200:
            raise EngineError(f"the server answers {path} with {answer.status}: {body.decode()}")
        return body

    def _connection(self, use: str) -> http.client.HTTPConnection:
        if self.sockets is None:
            return http.client.HTTPConnection(self.host.strip("[]"), self.ports[use], timeout=10)
        path = self.sockets.metrics if use == "metrics" else self.sockets.http
        return UnixConnection(path, timeout=10)
