"""OpenTelemetry collectors, and the exporter of spans to them over HTTP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from naiad.errors import EngineError, MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

EXTRA: Final = "otlp"

_PATH = "/v1/traces"
_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
_SECONDS = 5.0  # for one export with its retries, without the variable


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector of OTLP over HTTP.

    Attributes:
        url: as the user gives it, such as ``http://localhost:4318``.
        rate: fraction of requests to trace, of those without a decision of their client's.
    """

    url: str
    rate: float = 1.0

    def check(self) -> None:
        """Check the URL.

        Raises:
            EngineError: it is not one of OTLP over HTTP.
        """
        try:
            parts = urlsplit(self.url)
            right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            right = False
        if not right:
            raise EngineError(
                f"the collector {self.url!r} must be a URL of OTLP over HTTP, such as "
                "http://localhost:4318"
            )

    @property
    def traces(self) -> SplitResult:
        """URL that takes spans: with the usual path, unless it has one."""
        parts = urlsplit(self.url)
        return parts if parts.path.strip("/") else parts._replace(path=_PATH)

    def headers(self) -> Mapping[str, str]:
        """Return headers to send, such as a token, from OpenTelemetry's own variable.

        Raises:
            MissingExtra: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry.util.re import parse_env_headers
        except ImportError as error:
            raise MissingExtra(EXTRA, error.name or "opentelemetry-api") from None
        return parse_env_headers(os.environ.get(_HEADERS, ""), liberal=True)

    def exporter(self) -> SpanExporter:
        """Return an exporter of spans.

        Headers, certificates and compression are those of OpenTelemetry's own variables
        (``OTEL_EXPORTER_OTLP_HEADERS`` and so on).

        Raises:
            MissingExtra: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as error:
            raise MissingExtra(
                EXTRA, error.name or "opentelemetry-exporter-otlp-proto-http"
            ) from None
        timeout = float(os.environ.get(_TIMEOUT, _SECONDS))
        return OTLPSpanExporter(endpoint=self.traces.geturl(), timeout=timeout)
