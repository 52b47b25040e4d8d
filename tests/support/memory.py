"""The memory of a running server, process by process."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

import psutil
from tests.support.triton import Belongings, is_worker

from naiad.triton.memory import proportional_size
from naiad.triton.server import Server

MB = 1 << 20


@dataclass(frozen=True)
class Usage:
    """Return megabytes: proportional set sizes of Triton, its stubs and workers, and /dev/shm."""

    triton: float
    stubs: float
    workers: float
    shm: float

    @classmethod
    def of(cls, server: Server) -> Usage:
        triton = psutil.Process(server.pid)
        sizes = {"triton": _pss(triton), "stubs": 0.0, "workers": 0.0}
        for process in triton.children(recursive=True):
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):  # ended now
                line = " ".join(process.cmdline())
                sizes["workers" if is_worker(line) else "stubs"] += _pss(process)
        files = Path("/dev/shm").glob(f"{Belongings.of(server).shared_memory}*")
        # Files in /dev/shm are sparse: their blocks count.
        return cls(**sizes, shm=sum(512 * path.stat().st_blocks for path in files) / MB)

    @classmethod
    def median(cls, samples: list[Usage]) -> Usage:
        names = [field.name for field in fields(cls)]
        return cls(**{name: median(getattr(sample, name) for sample in samples) for name in names})

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name):.0f}" for field in fields(self))


def _pss(process: psutil.Process) -> float:
    return proportional_size(process.pid) / MB
