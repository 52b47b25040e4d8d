"""Ports that stay free until a test takes them, and where nobody answers until then.

The system gives the ports that it chooses for others from 32768 on (ip_local_port_range): one that
it has named and that is let go again may be somebody else's at once. These are below, and each
process begins elsewhere.
"""

from __future__ import annotations

import itertools
import os
import random

from naiad.triton.ports import is_free

_RANGE = range(10_240, 32_768)
_numbers = itertools.count(random.Random(os.getpid()).randrange(len(_RANGE)))


def free_ports(count: int) -> list[int]:
    """Distinct ports of this host; no two calls in a process give the same."""
    usable = (port for port in map(_port, _numbers) if is_free("127.0.0.1", port))
    return list(itertools.islice(usable, count))


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def _port(number: int) -> int:
    return _RANGE[number % len(_RANGE)]
