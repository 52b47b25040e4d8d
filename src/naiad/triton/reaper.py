"""A process between the user's and Triton's that cleans up, however either ends.

Run as ``python -m naiad.triton.reaper``. Its standard input is a pipe from the parent: first one
line with the :class:`Charge` in JSON, then commands (``stop``, ``kill``), and end of file when the
parent is gone, even after kill -9. Its standard output has one JSON object per event:
``{"event": "started", "pid": 17}`` and
``{"event": "ended", "status": -9, "asked": false, "killed": 0}``.

Its exit status: 0 if Triton ended on request, 1 if it ended by itself, 2 if it
could not be started.

Orphaned processes become the reaper's children (``PR_SET_CHILD_SUBREAPER``), so
none can escape: Triton's Python stubs sometimes outlive it and may ignore SIGTERM (seen in 2.51).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

_STACK = 4 << 30
"""Bytes of Triton's stack, and of its threads' stacks.

Triton 2.51 puts 16 bytes per chunk of an HTTP body on the stack, and recurses into nested JSON:
with 8 MiB, 3 million chunks or brackets crash it. The memory is virtual until used.
"""
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_MARGIN = 2.0  # seconds beyond Triton's own exit timeout before it is killed
_HEARTBEAT = 1.0  # seconds between checks that the parent is alive
_HURRY = 0.01  # seconds between attempts to hide a secret
_SHARED_MEMORY = Path("/dev/shm")
# A json.py in the working directory must not shadow the library's.
_SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []


@dataclass(frozen=True, slots=True)
class Charge:
    """The Triton that a reaper starts, and what it cleans up.

    Attributes:
        command: Triton's command line.
        environment: Triton's whole environment.
        log: the file for all its output.
        exit_timeout: seconds that Triton itself gives in-flight requests to finish.
        shared_memory: the prefix of its files in ``/dev/shm``.
        stopping: a file to create when Triton is about to be stopped, or "".
        secret: text on the command line to hide from other users, or "".
        remove: files and folders to remove if the parent dies.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    log: str
    exit_timeout: float
    shared_memory: str
    stopping: str = ""
    secret: str = ""
    remove: Sequence[str] = field(default=())

    def hidden(self) -> list[str]:
        """Return the command line as other users see it."""
        stars = "*" * len(self.secret)
        return [part.replace(self.secret, stars) if stars else part for part in self.command]


class Reaper:
    """The parent's side: starts a reaper, receives its events and sends it commands."""

    def __init__(self, charge: Charge) -> None:
        """Start the reaper and Triton, which has its own session and no terminal."""
        self._charge = charge
        self._rest = b""
        self._ended = False
        self.pid: int | None = None
        with Path(charge.log).open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *_SAFE_PATH, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is the parent's to handle, once
            )
        self._say(json.dumps(asdict(charge)))

    def poll(self, timeout: float = 0.0) -> list[dict[str, Any]]:
        """Return the events since the last call; wait up to ``timeout`` seconds for one."""
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        ready = select.poll()
        ready.register(file, select.POLLIN)
        events: list[dict[str, Any]] = []
        while not self._ended and ready.poll(0 if events else timeout * 1000):
            chunk = os.read(file, 65536)
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            events += map(json.loads, lines)
            if not chunk:
                reason = "its reaper process ended"
                events.append({"event": "ended", "status": None, "asked": False, "reason": reason})
            for event in events:
                self.pid = event.get("pid", self.pid)
                self._ended = self._ended or event["event"] == "ended"
        return events

    def stop(self) -> None:
        """Make Triton finish in-flight requests and end."""
        self._say("stop")

    def kill(self) -> None:
        """Kill Triton and all its processes now."""
        self._say("kill")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the reaper, and all it guards, has ended; return True if so."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        if status < 0:  # the reaper was killed: clean up here
            self._do_its_work()
        return True

    @property
    def exit_limit(self) -> float:
        """Seconds after :meth:`stop` within which the reaper must have ended."""
        return self._charge.exit_timeout + 2 * _MARGIN

    def destroy(self) -> None:
        """Kill a reaper that does not answer."""
        self._process.kill()
        self.wait()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # gone, or closed
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _do_its_work(self) -> None:
        if self.pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                triton = psutil.Process(self.pid)
                if triton.cmdline() in (list(self._charge.command), self._charge.hidden()):
                    _kill_all(lambda: [triton, *triton.children(recursive=True)])
        _remove_shared_memory(self._charge.shared_memory)


def main() -> int:
    """Guard one Triton until it or the parent ends."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with _wakeups() as woken:
        charge = _read_charge()
        if charge is None:
            return 0
        try:
            triton = _spawn(charge)
        except OSError as error:
            _tell({"event": "ended", "status": None, "asked": False, "reason": str(error)})
            return 2
        _tell({"event": "started", "pid": triton})
        watch = _Watch(charge, triton, parent)
        status = watch.until_it_ends(woken)
        killed = _kill_all(lambda: psutil.Process().children(recursive=True))
        _remove_shared_memory(charge.shared_memory)
        if watch.orphaned:
            for path in map(Path, charge.remove):
                remove(path)
        _tell({"event": "ended", "status": status, "asked": watch.asked, "killed": killed})
        return 0 if watch.asked else 1


class _Watch:
    """Waits for Triton to end, and ends it on request."""

    def __init__(self, charge: Charge, triton: int, parent: int) -> None:
        self._charge = charge
        self._triton = triton
        self._parent = parent
        self._deadline: float | None = None
        self._status: int | None = None
        self._exposed = bool(charge.secret)
        self._written = Path(charge.log).stat().st_size  # by previous Tritons
        self.asked = False
        self.orphaned = False

    def until_it_ends(self, woken: int) -> int:
        """Return Triton's status: its exit code, or minus the signal that ended it."""
        with selectors.DefaultSelector() as selector:
            selector.register(woken, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            while self._reap() is None:
                self._check_deadline_and_parent()
                if self._exposed and Path(self._charge.log).stat().st_size > self._written:
                    # It is writing its log, so it has read its command line.
                    self._exposed = not _hide(self._triton, self._charge.secret.encode())
                for key, _ in selector.select(self._patience()):
                    if key.fd == woken:
                        signals = os.read(woken, 4096)
                        if not set(signals) <= {signal.SIGCHLD, signal.SIGINT}:
                            self._stop()
                    elif not self._obey(os.read(key.fd, 4096)):
                        selector.unregister(sys.stdin)
                        self._lose_parent()
        assert self._status is not None
        return self._status

    def _obey(self, commands: bytes) -> bool:
        if b"kill" in commands:
            self._stop()
            self._deadline = time.monotonic()
        elif b"stop" in commands:
            self._stop()
        return bool(commands)

    def _stop(self) -> None:
        if not self.asked:
            self.asked = True
            self._deadline = time.monotonic() + self._charge.exit_timeout + _MARGIN
            if self._charge.stopping:
                with contextlib.suppress(OSError):
                    Path(self._charge.stopping).touch()
            os.kill(self._triton, signal.SIGTERM)

    def _lose_parent(self) -> None:
        self.orphaned = True
        self._stop()

    def _check_deadline_and_parent(self) -> None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._deadline = None
            os.kill(self._triton, signal.SIGKILL)
        # The pipe stays open if a fork of the parent holds its other end.
        if not self.orphaned and os.getppid() != self._parent:
            self._lose_parent()

    def _patience(self) -> float:
        longest = _HURRY if self._exposed else _HEARTBEAT
        if self._deadline is None:
            return longest
        return min(longest, max(0.0, self._deadline - time.monotonic()))

    def _reap(self) -> int | None:
        """Collect every child that has ended, Triton or an orphan."""
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._triton:
                    self._status = os.waitstatus_to_exitcode(found[1])
        return self._status


@contextlib.contextmanager
def _wakeups() -> Generator[int]:
    """Yield a file descriptor with one byte per received signal, its number."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCHLD):
        # An empty handler instead of SIG_IGN, which Triton's processes would inherit.
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


def _read_charge() -> Charge | None:
    line = bytearray()
    while not line.endswith(b"\n"):  # unbuffered: the selector must see what follows
        byte = os.read(0, 1)
        if not byte:
            return None
        line += byte
    return Charge(**json.loads(line))


def _spawn(charge: Charge) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with _large_stacks():
        return _spawn_with(charge, flags)


@contextlib.contextmanager
def _large_stacks() -> Generator[None]:
    """Give processes started within the block large stacks, if the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    bounded = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    counted = Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    if not bounded and not counted:
        most = _STACK if hard == resource.RLIM_INFINITY else min(_STACK, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _hide(pid: int, secret: bytes) -> bool:
    """Overwrite a secret on a child's command line, which all users of the host can read.

    Also return True if it is impossible: the child is gone, or the kernel forbids it.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        begin, end = int(stat[45]), int(stat[46])  # arg_start and arg_end, see proc(5)
        with Path(f"/proc/{pid}/mem").open("r+b", buffering=0) as memory:
            memory.seek(begin)
            line = memory.read(end - begin)
            memory.seek(begin)
            memory.write(line.replace(secret, b"*" * len(secret)))
    except (OSError, ValueError, IndexError):
        return True
    return secret in line


def _spawn_with(charge: Charge, flags: int) -> int:
    return os.posix_spawn(
        charge.command[0],
        list(charge.command),
        dict(charge.environment),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, charge.log, flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],
    )


def _kill_all(find: Callable[[], list[psutil.Process]]) -> int:
    """Kill what ``find`` finds until nothing is alive; return the number killed."""
    killed: set[int] = set()
    deadline = time.monotonic() + _MARGIN
    while time.monotonic() < deadline:
        alive = [process for process in find() if _is_alive(process)]
        if not alive:
            break
        for process in alive:
            killed.add(process.pid)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.01)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return len(killed)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _remove_shared_memory(prefix: str) -> None:
    if not prefix:
        return
    for path in _SHARED_MEMORY.glob(f"{prefix}*"):
        path.unlink(missing_ok=True)


def _tell(event: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the parent is gone
        os.write(1, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
