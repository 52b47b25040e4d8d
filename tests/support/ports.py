"""Ports that stay free, and unanswered, until a test takes them.

The system hands out ports from 32768 on (ip_local_port_range), so a port from it that is released
may be taken at once. The ports here are below, and each process starts at another one.
"""

from __future__ import annotations

import itertools
import os
import random

from naiad.triton.ports import is_free

_RANGE = range(10_240, 32_768)
_numbers = itertools.count(random.Random(os.getpid()).randrange(len(_RANGE)))


def free_ports(count: int) -> list[int]:
    """Return distinct ports of this host; no two calls in a process give the same."""
    usable = (port for port in map(_port, _numbers) if is_free("127.0.0.1", port))
    return list(itertools.islice(usable, count))


def free_port() -> int:
    """Return one free port."""
    return free_ports(1)[0]


def _port(number: int) -> int:
    return _RANGE[number % len(_RANGE)]
