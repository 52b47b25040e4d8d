"""Peak memory and CPU time of processes, from /proc."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
from benchmarks.growth.curve import Point

from naiad.triton.server import Server
from naiad.triton.stub_watch import WORKER

_LEAST = 1.0  # MB; the allocator takes and keeps some of its own

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


class Peak:
    """Peak of a process's resident memory, above what it had at the start."""

    def __init__(self, pid: int) -> None:
        """Note the memory of process ``pid``."""
        self._pid = pid
        self._base = psutil.Process(pid).memory_info().rss

    def reset(self) -> None:
        """Forget earlier peaks."""
        Path(f"/proc/{self._pid}/clear_refs").write_text("5")

    def point(self, name: str, size: int) -> Iterator[Point]:
        """Yield the peak since the last reset in MB, unless it is too little to mean anything."""
        found = _PEAK.search(Path(f"/proc/{self._pid}/status").read_text())
        assert found is not None
        grown = (1024 * int(found[1]) - self._base) / 1e6
        if grown >= _LEAST:
            yield name, size, grown


def cpu_seconds(pid: int | None) -> float:
    """Return the CPU seconds of a process and its living descendants."""
    root = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (root, *root.children(recursive=True)))


def workers(server: Server) -> list[int]:
    """Return the processes that run a server's pipelines."""
    every = psutil.Process(server.pid).children(recursive=True)
    return [one.pid for one in every if WORKER in " ".join(one.cmdline())]
