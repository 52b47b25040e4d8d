"""Processes of the systems: started on their cores, and ended with all that they started."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks.peers.servers import Options
from benchmarks.peers.systems import NAIAD, TRITON, System

from naiad.runtime.environment import numeric_environment

ROOT = Path(__file__).parents[2]

_GRACE = 8.0  # seconds to end by itself
_PAUSE = 3.0  # seconds after each signal
_TRACKER = "multiprocessing.resource_tracker"
_SUBREAPER = 36  # of Linux's prctl
_END_OF_LOG = 1_500  # characters


class Failed(Exception):
    """A system did not start, or gave a wrong answer."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores of the systems and those of the load generator, which may be the same."""

    systems: tuple[int, ...]
    generator: tuple[int, ...]

    @property
    def apart(self) -> bool:
        """Whether the generator has cores of its own."""
        return not set(self.systems) & set(self.generator)

    @classmethod
    def divided(cls, cores: Sequence[int]) -> Cores:
        """Give the generator one core of four to seven, two of more, and none of fewer."""
        own = 0 if len(cores) < 4 else 1 if len(cores) < 8 else 2
        every = tuple(sorted(cores))
        return cls(every[own:], every[:own] or every)


def adopt_orphans() -> None:
    """Make this process the parent of processes whose own has ended, so that all can be found."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


@dataclass(slots=True)
class Running:
    """A system's main process, the options it was given, and the file of its output."""

    process: subprocess.Popen[bytes]
    options: Options
    log: Path

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """Return the end of its output."""
        return self.log.read_text("utf-8", "replace")[-_END_OF_LOG:].strip()


@contextmanager
def running(
    system: System, python: Path, work: str, wait: float, cores: Cores
) -> Iterator[Running]:
    """Start a system with a work; end it and every process that came of it afterwards.

    ``python`` is that of the system's environment.
    """
    before = _descendants()
    scratch = Path(tempfile.mkdtemp(prefix="peer-"))  # short, as paths of sockets must be
    files = scratch / "files"
    files.mkdir()
    options = Options(
        work=work,
        port=_free_ports(),
        workers=len(cores.systems),
        wait=wait,
        scratch=str(files),
        environment=str(python.parents[1]),
    )
    log = scratch / "log"
    # Naiad itself starts Triton, whose stub alone runs in the environment.
    program = this_python() if system.name in (NAIAD, TRITON) else python
    try:
        with log.open("wb") as output, _on(cores.systems):
            process = subprocess.Popen(
                [program, "-m", f"benchmarks.peers.servers.{system.name}"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=_environment(program) | options.variables(),
            )
        try:
            yield Running(process, options, log)
        finally:
            _end(process, before)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _on(cores: Sequence[int]) -> Iterator[None]:
    """Have processes that are started here run on some cores."""
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _environment(python: Path) -> dict[str, str]:
    """Return the variables of a system: one thread for each network, and Naiad's for malloc.

    Its Python comes first on the paths of programs and libraries: pytriton starts a Triton of its
    own, whose stub takes the first that it finds.
    """
    first = {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "PATH": _before("PATH", str(python.parent)),
        "LD_LIBRARY_PATH": _before("LD_LIBRARY_PATH", sysconfig.get_config_var("LIBDIR")),
    }
    return {**os.environ, **numeric_environment(1), "MKL_NUM_THREADS": "1", **first}


def _before(variable: str, folder: str) -> str:
    return os.pathsep.join(filter(None, (folder, os.environ.get(variable))))


def _end(process: subprocess.Popen[bytes], before: set[int]) -> None:
    """End a process with all that came of it, as by Ctrl-C and then by harder signals.

    The trackers of Python's multiprocessing end last, by themselves: they remove semaphores and
    shared memory once no other process has them.
    """
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    steps = ((signal.SIGTERM, _TRACKER), (signal.SIGKILL, _TRACKER), (signal.SIGKILL, ""))
    for sent, spared in steps:
        left = [child for child in _children() if child.pid not in before]
        for child in left:
            with suppress(psutil.NoSuchProcess):
                if not spared or spared not in " ".join(child.cmdline()):
                    child.send_signal(sent)
        psutil.wait_procs(left, timeout=_PAUSE)
    if left := [child for child in _children() if child.pid not in before]:
        raise RuntimeError(f"these processes do not end: {left}")


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _descendants() -> set[int]:
    return {child.pid for child in _children()}


def _free_ports() -> int:
    """Return the first of two ports in a row that nothing listens at."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except (OSError, OverflowError):
                continue


def this_python() -> Path:
    """Return the Python that runs this program."""
    return Path(sys.executable)
