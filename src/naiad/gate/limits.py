"""What one client may take of the gate, in bytes, seconds and counts."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import psutil

REQUEST_HEADERS_SECONDS: Final = 10
"""For the whole head of a request."""
REQUEST_SECONDS: Final = 120
"""For the whole of an HTTP/1.1 request, its body too; the answer may take as long as its client
waits. Over HTTP/2 there is no such limit: Envoy would count a gRPC stream as arriving until its
first answer. Slow senders there are the first to go when memory is short.
"""
FIRST_BYTES_SECONDS: Final = 10
"""For the bytes that tell HTTP/1.1 from HTTP/2."""
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
JSON_BYTES: Final = 32_000_000
"""Of the JSON in a request, which is walked on the gate's thread: a third of a second at most."""
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


UNDER_PRESSURE_SECONDS: Final = 5
"""Without a byte while a request is open and the memory is nearly used up."""


def heap_bytes(max_request_bytes: int) -> int:
    """Memory of the gate: a quarter of the machine's, or enough for four of the largest requests.

    Near it the requests that hold most are ended, at it new ones are refused.
    """
    memory = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return max(256 << 20, memory // 4, 4 * max_request_bytes)
