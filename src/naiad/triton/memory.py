"""What a running server occupies, and when that is too much.

Triton 2.51 loses a request, and keeps its memory, where a gRPC client is cancelled or goes away in
the moment of its answer (seen with a bare model too; triton-inference-server/server#8078 may have
mended it later). Each such request costs up to its size until Triton ends, and the model that it
was for can no longer be unloaded.
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
"""Of the machine's or the container's memory: what a server may occupy by default."""


def occupied(triton: int) -> int:
    """Bytes of memory that Triton and all its processes occupy; what several share counts once."""
    sizes: list[int] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(triton)
        sizes = [proportional_size(p.pid) for p in (process, *process.children(recursive=True))]
    return sum(sizes)


def proportional_size(pid: int) -> int:
    """A process's share of the memory it has mapped, in bytes; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    found = _PSS.search(text)
    return int(found[1]) * 1024 if found else 0


def available() -> int:
    """Bytes of memory that there are for this process: the machine's, or its container's."""
    limits = [psutil.virtual_memory().total]
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max": there is none
            limits.append(int(path.read_text(encoding="ascii")))
    return min(limits)


class MemoryWatch:
    """Whether a server has grown beyond a limit.

    One that is beyond it from the start needs that much: no restart would help, so none is asked.
    """

    def __init__(self, limit: int | None, interval: float) -> None:
        """Look every ``interval`` seconds for ``limit`` bytes, by default 90% of what there is."""
        self.limit = int(SHARE * available()) if limit is None else limit
        self._interval = interval
        self._looked = 0.0
        self._first: int | None = None

    def begin(self, triton: int) -> str:
        """Take in what a server occupies that has just started; returns a warning, or ""."""
        self._first = occupied(triton)
        self._looked = time.monotonic()
        if self._first < self.limit:
            return ""
        return (
            f"the models alone occupy {_words(self._first)}, more than the memory limit of "
            f"{_words(self.limit)}, which is therefore not kept"
        )

    def excess(self, triton: int) -> str:
        """Why the server must be restarted, or ""."""
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
