"""What one client may take of the gate, in bytes, seconds and counts."""

from __future__ import annotations

from typing import Final

REQUEST_HEADERS_SECONDS: Final = 10
"""For the whole head of a request."""
REQUEST_SECONDS: Final = 300
"""For the whole of a request, its body too; the answer may take as long as the client waits."""
TLS_SECONDS: Final = 10
"""For the TLS handshake."""
IDLE_CONNECTION_SECONDS: Final = 300
"""Without a request."""
IDLE_STREAM_SECONDS: Final = 3600
"""Without a byte in either direction while a request is open; not for gRPC streams."""
KEEPALIVE_SECONDS: Final = 60
"""Between pings on HTTP/2 connections, which find peers that are gone."""
HEADERS_KB: Final = 32
HEADERS_COUNT: Final = 100
STREAMS: Final = 128
"""Requests at a time on an HTTP/2 connection."""
STREAM_WINDOW: Final = 4 << 20
CONNECTION_WINDOW: Final = 16 << 20
CONNECTION_BUFFER: Final = 64 << 10
"""Bytes read at a time. A gzip body is inflated by as much at a time, to 1,032 times its size
at most: 66 MB that the gate holds before it counts them."""
INFLATE_RATIO: Final = 1032
"""The most that gzip can reach, and Envoy takes: the bound is that of the inflated request."""
IN_FLIGHT: Final = 100_000
"""Requests at a time that Triton may have of the gate."""


def heap_bytes(max_request_bytes: int) -> int:
    """Memory of the gate beyond which it answers UNAVAILABLE."""
    return max(1 << 30, 8 * max_request_bytes)
