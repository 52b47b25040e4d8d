"""Plain Triton models written by tests, and traces that a server may leave behind."""

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import psutil

from naiad.testing import FREE_PORTS as FREE
from naiad.triton.server import Server

__all__ = ["FREE", "MODELS", "Belongings", "copy_model", "is_worker", "write_model"]

MODELS = Path(__file__).parents[1] / "e2e" / "models"


def is_worker(command: str) -> bool:
    """Return whether a process with this command line runs a model's hooks."""
    return "naiad.triton.worker" in command


def copy_model(repository: Path, name: str, source: str = "") -> Path:
    """Copy a model of tests/e2e/models, so that parallel runs share no file."""
    model = repository / name
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(MODELS / (source or name), model, ignore=ignored)
    return model


def write_model(repository: Path, name: str, code: str) -> Path:
    """Write a model with identity's tensors (x in, y out: FP32 [-1]) and its own code."""
    model = copy_model(repository, name, "identity")
    config = (model / "config.pbtxt").read_text()
    (model / "config.pbtxt").write_text(config.replace('"identity"', f'"{name}"'))
    (model / "1" / "model.py").write_text(dedent(code))
    return model


@dataclass(frozen=True)
class Belongings:
    """All resources of a running server on this machine."""

    processes: tuple[psutil.Process, ...]
    shared_memory: str
    ports: tuple[int, ...]
    temporary: Path

    @classmethod
    def of(cls, server: Server) -> "Belongings":
        assert server.log_path is not None
        urls = (server.grpc_url, server.http_url, server.metrics_url.removesuffix("/metrics"))
        ports = tuple(int(url.rpartition(":")[2]) for url in urls if url[-1:].isdecimal())
        return cls.found(server.pid, ports, server.log_path.parent)

    @classmethod
    def found(cls, pid: int | None, ports: tuple[int, ...], temporary: Path) -> "Belongings":
        triton = psutil.Process(pid)
        reaper = triton.parent()
        assert reaper is not None
        prefix = re.search(r"shm-region-prefix-name=(\S+)", " ".join(triton.cmdline()))
        assert prefix is not None
        processes = (reaper, *reaper.children(recursive=True))
        assert len(processes) >= 3, "the reaper, Triton, and a process per model"
        return cls(processes, prefix[1], ports, temporary)

    def left(self, within: float = 0.0) -> list[str]:
        """Return what is left after at most ``within`` seconds; empty is good."""
        deadline = time.monotonic() + within
        while (found := self._look()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _look(self) -> list[str]:
        return [
            *(str(process) for process in self.processes if _is_alive(process)),
            *map(str, Path("/dev/shm").glob(f"{self.shared_memory}*")),
            *(f"port {port}" for port in _listened_to().intersection(self.ports)),
            *([str(self.temporary)] if self.temporary.exists() else []),
        ]


def _listened_to() -> set[int]:
    """Return the ports of this process and its descendants; others may take one that is free."""
    own = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    found = psutil.net_connections("tcp")
    return {c.laddr.port for c in found if c.status == psutil.CONN_LISTEN and c.pid in own}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
