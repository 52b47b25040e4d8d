"""Limits of the gate per client, in bytes, seconds and counts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import psutil

REQUEST_HEADERS_SECONDS: Final = 10
"""For the head of a request, after its first line."""
REQUEST_SECONDS: Final = 120
"""For a whole HTTP/1.1 request, including its body; the answer may take as long as its client
waits. HTTP/2 has no such limit: Envoy would count a gRPC stream as arriving until its first
answer. Slow senders there are the first to be ended when memory is short.
"""
FIRST_BYTES_SECONDS: Final = 30
"""For the request line, which tells HTTP/1.1 from HTTP/2; other headers have their own limit."""
TLS_SECONDS: Final = 10
"""For the TLS handshake."""
IDLE_CONNECTION_SECONDS: Final = 300
"""Without a request."""
IDLE_STREAM_SECONDS: Final = 3600
"""Without a byte in either direction while a request is open; not for gRPC streams."""
CLOSING_SECONDS: Final = 5
"""Between an answer and closing its connection, if the request was not read to its end: time for
clients that are still sending to read the answer."""
KEEPALIVE_SECONDS: Final = 60
"""Between pings on HTTP/2 connections, which detect peers that are gone."""
HEADERS_KB: Final = 32
HEADERS_COUNT: Final = 100
JSON_BYTES: Final = 32_000_000
"""JSON of a request; the gate's thread checks it, for a third of a second at most."""
STREAMS: Final = 128
"""Concurrent requests on an HTTP/2 connection."""
STREAM_WINDOW: Final = 4 << 20
CONNECTION_WINDOW: Final = 16 << 20
CONNECTION_BUFFER: Final = 64 << 10
"""Bytes read at a time. A gzip body is inflated in pieces of that size, to at most 1,032 times as
much: 66 MB that the gate holds before it counts them."""
INFLATE_RATIO: Final = 1032
"""Maximum that gzip can reach, and Envoy accepts: the inflated request is limited instead."""
IN_FLIGHT: Final = 100_000
"""Concurrent requests from the gate to Triton."""


UNDER_PRESSURE_SECONDS: Final = 5
"""Without a byte while a request is open and memory is nearly used up."""


def heap_bytes(max_request_bytes: int) -> int:
    """Return the gate's memory: a quarter of the machine's, or four of the largest requests.

    Near the limit the requests that hold most are ended; at it new ones are refused.
    """
    memory = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # "max" if there is no limit
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return max(256 << 20, memory // 4, 4 * max_request_bytes)
