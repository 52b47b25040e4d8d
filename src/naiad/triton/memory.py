"""Memory use of a running server, and its limit.

Triton 2.51 loses a request, and keeps its memory, if a gRPC client cancels or disconnects at the
moment of its answer (also seen with a bare model; triton-inference-server/server#8078 may have
fixed it later). Each such request costs up to its size until Triton ends, and its model can no
longer be unloaded.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import psutil

_PSS = re.compile(r"^Pss: +(\d+) kB", re.MULTILINE)
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
SHARE = 0.9
"""Default limit of a server, as a share of the machine's or container's memory."""


def occupied(triton: int) -> int:
    """Return the memory of Triton and all its processes, in bytes; shared memory counts once."""
    sizes: list[int] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(triton)
        sizes = [proportional_size(p.pid) for p in (process, *process.children(recursive=True))]
    return sum(sizes)


def proportional_size(pid: int) -> int:
    """Return a process's share of the memory it has mapped, in bytes; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    found = _PSS.search(text)
    return int(found[1]) * 1024 if found else 0


def available() -> int:
    """Return the memory available to this process, in bytes: the machine's or container's."""
    limits = [psutil.virtual_memory().total]
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            limits.append(int(path.read_text(encoding="ascii")))
    return min(limits)


class MemoryWatch:
    """Detects a server that has grown beyond a limit.

    One that exceeds it from the start needs that much, and a restart would not help.
    """

    def __init__(self, limit: int | None, interval: float) -> None:
        """Check every ``interval`` seconds; ``limit`` is in bytes, by default 90% of the memory."""
        self.limit = int(SHARE * available()) if limit is None else limit
        self._interval = interval
        self._looked = 0.0
        self._first: int | None = None

    def begin(self, triton: int) -> str:
        """Record the memory of a server that has just started; return a warning, or ""."""
        self._first = occupied(triton)
        self._looked = time.monotonic()
        if self._first < self.limit:
            return ""
        return (
            f"the models alone use {_words(self._first)}, more than the memory limit of "
            f"{_words(self.limit)}, which is therefore ignored"
        )

    def excess(self, triton: int) -> str:
        """Return why the server must be restarted, or ""."""
        now = time.monotonic()
        if self._first is None or self._first >= self.limit or now - self._looked < self._interval:
            return ""
        self._looked = now
        size = occupied(triton)
        if size < self.limit:
            return ""
        return (
            f"the server has grown from {_words(self._first)} to {_words(size)}; its memory limit "
            f"is {_words(self.limit)}"
        )


def _words(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size < 1e10 else f"{size / 1e9:,.1f} GB"
