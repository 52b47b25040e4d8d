"""Processes of the systems: started on their cores, paused, and ended with all that they started.

One system runs at a time. The others are paused and can start nothing, so whatever appears below
this process belongs to the one that runs, even once its parent has ended.
"""

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
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from benchmarks.peers.servers import Options
from benchmarks.peers.systems import NAIAD, TRITON, System

from naiad.runtime.environment import numeric_environment

ROOT = Path(__file__).parents[2]

_GRACE = 8.0  # seconds to end by itself
_PATIENCE = 3.0  # seconds after each signal
_POLL = 0.01
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
        """True if the generator has cores of its own."""
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
    """A system's main process, the options it was given, and the files that it writes.

    ``others`` are the processes below this one that are not the system's.
    """

    process: subprocess.Popen[bytes]
    options: Options
    scratch: Path
    others: frozenset[psutil.Process]
    _paused: bool = field(default=False, init=False)
    _known: frozenset[psutil.Process] = field(default=frozenset(), init=False)

    @property
    def ended(self) -> bool:
        """True if it has ended."""
        return self.process.poll() is not None

    @property
    def resumed(self) -> bool:
        """True if it goes on after a pause."""
        return bool(self._known) and not self._paused

    @property
    def whole(self) -> bool:
        """True if no process has ended since it was last paused."""
        return all(map(_lives, self._known))

    def processes(self) -> list[psutil.Process]:
        """Return its processes, parents before their children."""
        return [child for child in _children() if child not in self.others]

    def pause(self) -> None:
        """Stop all of its processes, which use no CPU until `resume`.

        Raises:
            RuntimeError: some do not stop.
        """
        until = time.monotonic() + _PATIENCE
        while left := [one for one in self.processes() if _lives(one) and not _is_stopped(one)]:
            if time.monotonic() > until:
                raise RuntimeError(f"these processes do not stop: {left}")
            _send(left, signal.SIGSTOP)
            time.sleep(_POLL)
        self._known = frozenset(filter(_lives, self.processes()))
        self._paused = True

    def resume(self) -> None:
        """Continue all of its processes, children before the parents that watch them."""
        if self._paused:
            self.others = frozenset(_children()) - self._known
            self._paused = False
        _send(reversed(self.processes()), signal.SIGCONT)

    def last_words(self) -> str:
        """Return the end of its output."""
        return _log(self.scratch).read_text("utf-8", "replace")[-_END_OF_LOG:].strip()


def start(system: System, python: Path, work: str, wait: float, cores: Cores) -> Running:
    """Start a system with a work, by the Python of its environment."""
    others = frozenset(_children())
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
    # Naiad itself starts Triton, whose stub alone runs in the environment.
    program = this_python() if system.name in (NAIAD, TRITON) else python
    with _log(scratch).open("wb") as output, _on(cores.systems):
        process = subprocess.Popen(
            [program, "-m", f"benchmarks.peers.servers.{system.name}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=_environment(program) | options.variables(),
        )
    return Running(process, options, scratch, others)


def end(systems: Sequence[Running]) -> None:
    """End systems and all that came of them, as by Ctrl-C and then by harder signals.

    The trackers of Python's multiprocessing end last, by themselves: they remove semaphores and
    shared memory once no other process has them.

    Raises:
        RuntimeError: some processes do not end.
    """
    if not systems:
        return
    for one in systems:
        one.resume()
    others = frozenset[psutil.Process].intersection(*(one.others for one in systems))
    for one in systems:
        one.process.send_signal(signal.SIGINT)
    until = time.monotonic() + _GRACE
    for one in systems:
        with suppress(subprocess.TimeoutExpired):
            one.process.wait(max(0.0, until - time.monotonic()))
    for sent, spared in ((signal.SIGTERM, True), (signal.SIGKILL, True), (signal.SIGKILL, False)):
        left = [child for child in _children() if child not in others]
        _send((one for one in left if not (spared and _is_tracker(one))), sent)
        psutil.wait_procs(left, timeout=_PATIENCE)
    if left := [child for child in _children() if child not in others]:
        raise RuntimeError(f"these processes do not end: {left}")
    for one in systems:
        one.process.wait()  # it may have been waited for as a process only
        shutil.rmtree(one.scratch, ignore_errors=True)


def _log(scratch: Path) -> Path:
    return scratch / "log"


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


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _is_stopped(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_STOPPED
    return False


def _is_tracker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return _TRACKER in " ".join(process.cmdline())
    return False


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
