"""The caller's OpenTelemetry span, sent with each call so that the server's spans are below it."""

from __future__ import annotations

import sys


def trace_headers() -> dict[str, str]:
    """Return the headers of the current span, such as ``traceparent``.

    Empty unless the program itself has imported OpenTelemetry and a span is current.
    """
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry import propagate

    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
