"""Where a running server listens, and what can be read there without a client."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass

from naiad.client import ModelInfo
from naiad.errors import EngineError
from naiad.triton.prometheus import Sample, parse_metrics


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A server's addresses.

    Attributes:
        listening: the address that it was told to listen on.
        ports: for ``HTTP``, ``gRPC`` and ``metrics``.
        grpc_tls: whether gRPC is encrypted; Triton has TLS there only.
    """

    listening: str
    ports: Mapping[str, int]
    grpc_tls: bool = False

    @property
    def host(self) -> str:
        """An address at which this machine reaches the server; IPv6 in brackets."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listening, self.listening)
        return f"[{host}]" if ":" in host else host

    @property
    def grpc_url(self) -> str:
        """As ``127.0.0.1:8001``."""
        return f"{self.host}:{self.ports['gRPC']}"

    @property
    def http_url(self) -> str:
        """As ``http://127.0.0.1:8000``."""
        return f"http://{self.host}:{self.ports['HTTP']}"

    @property
    def probe_url(self) -> str:
        """Where models are probed: HTTP where gRPC asks for certificates, which are not ours."""
        return self.http_url if self.grpc_tls else self.grpc_url

    @property
    def metrics_url(self) -> str:
        """As ``http://127.0.0.1:8002/metrics``."""
        return f"http://{self.host}:{self.ports['metrics']}/metrics"

    def metrics(self) -> list[Sample]:
        """All numbers of ``/metrics``, as they are now.

        Raises:
            EngineError: the server does not answer, as for :meth:`index`.
        """
        return list(parse_metrics(self._ask("metrics", "GET", "/metrics").decode()))

    def index(self) -> tuple[ModelInfo, ...]:
        """The state of each version of each model in the server's repositories."""
        index = json.loads(self._ask("HTTP", "POST", "/v2/repository/index"))
        return tuple(
            ModelInfo(m["name"], m.get("version", ""), m.get("state", ""), m.get("reason", ""))
            for m in index
        )

    def _ask(self, use: str, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection(self.host.strip("[]"), self.ports[use], timeout=10)
        # Closed at once: an idle connection holds Triton's shutdown for its whole exit timeout.
        with contextlib.closing(connection):
            try:
                connection.request(method, path)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise EngineError(f"the server does not answer {path}: {error}") from error
        if answer.status != 200:
            raise EngineError(f"the server answers {path} with {answer.status}: {body.decode()}")
        return body
