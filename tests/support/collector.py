"""An OpenTelemetry collector: it takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """The spans that have arrived, and the names of their services.

    Attributes:
        status: with which it answers.
    """

    port: int = 0
    status: int = 200
    spans: list[tuple[str, Span]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, count: int, service: str = "naiad", within: float = 20) -> list[Span]:
        """Return a service's spans once there are that many."""

        def found() -> list[Span]:
            return [span for name, span in self.spans if name == service]

        with self.changed:
            assert self.changed.wait_for(lambda: len(found()) >= count, within), self.spans
            return found()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        with self.changed:
            self.headers.append(headers)
            for resource in request.resource_spans:
                service = attributes(resource.resource)["service.name"]
                for scope in resource.scope_spans:
                    self.spans += [(service, span) for span in scope.spans]
            self.changed.notify_all()


def attributes(owner: Any) -> dict[str, Any]:
    """Return the attributes of a span or a resource."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in owner.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a port of its own."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            if self.headers.get("transfer-encoding") == "chunked":  # Envoy's
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            if collector.status == 200:
                collector.take(body, {k.lower(): v for k, v in self.headers.items()})
            else:
                with collector.changed:
                    collector.refused.append(body)
                    collector.changed.notify_all()
            reply = ExportTraceServiceResponse().SerializeToString()
            self.send_response(collector.status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
