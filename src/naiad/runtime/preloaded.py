"""A process that has imported packages that take long, and is forked to run what needs them.

Run as ``python -m naiad.runtime.preloaded LISTENER MODULE...``: it imports the modules, and then
forks for each :mod:`naiad.runtime.launcher` that connects to the socket ``LISTENER``, an inherited
descriptor. It ends, with its forks, when its standard input is closed.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import random
import runpy
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from naiad.runtime import launcher
from naiad.runtime.environment import numeric_environment

_FREE: Final = 16
"""Descriptors below this number are a fork's; nothing that is imported may have them."""

_ENVIRONMENT: Final = {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}


class Preloaded:
    """The process, started again if it dies, until it is closed."""

    def __init__(self, folder: Path, modules: Sequence[str]) -> None:
        """Start to import ``modules``; the socket and `python` are in ``folder``."""
        address = folder / "python.sock"
        self._modules = modules
        self._process: subprocess.Popen[bytes] | None = None
        self._lock, self._closed = threading.Lock(), False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        opened = os.open(folder, os.O_PATH)  # a socket's path may have 107 characters
        try:
            self._listener.bind(f"/proc/self/fd/{opened}/{address.name}")
        finally:
            os.close(opened)
        self._listener.listen(64)
        self.python = folder / "python"
        """Program that runs ``-m MODULE ...`` or ``-c CODE ...`` as Python does."""
        command = [sys.executable, "-SIE", str(Path(launcher.__file__)), str(address)]
        self.python.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', "utf-8")
        self.python.chmod(0o700)
        self.revive()

    def revive(self) -> bool:
        """Start the process again if it has died; return True if so."""
        with self._lock:
            if self._closed or (self._process is not None and self._process.poll() is None):
                return False
            died, listener = self._end(), self._listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(listener), *self._modules],
                env=numeric_environment(threads=1) | _ENVIRONMENT | dict(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(listener,),
                start_new_session=True,  # Ctrl-C is the server's to handle
            )
            return died

    def close(self) -> None:
        """End the process and its forks."""
        with self._lock:
            self._closed = True
            self._listener.close()
            self._end()

    def _end(self) -> bool:
        """End the process; return False if there is none yet."""
        if self._process is None:
            return False
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        return True


def main() -> None:
    """Import the modules and wait for connections; a fork runs its module."""
    number, *modules = sys.argv[1:]
    listener = socket.socket(fileno=fcntl.fcntl(int(number), fcntl.F_DUPFD_CLOEXEC, _FREE))
    os.close(int(number))
    while (fd := os.open(os.devnull, os.O_RDWR)) < _FREE:
        pass
    os.close(fd)
    for module in modules:
        with contextlib.suppress(Exception):  # whoever needs it is told
            import_module(module)
    gc.collect()
    gc.freeze()  # so that forks share its memory
    if (request := _Forks(listener).serve()) is not None:
        _run(request)


def _run(request: Mapping[str, Any]) -> None:
    """Run what a request names, in a fork."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    # Those of this process's start know what was open then.
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", 1, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
    added = [one for one in os.environ.get("PYTHONPATH", "").split(":") if one]
    sys.path[:0] = [one for one in added if one not in sys.path]
    kind, what, *arguments = request["argv"]
    if "--parent" in arguments:  # the launcher has its place
        arguments[arguments.index("--parent") + 1] = str(os.getppid())
    sys.argv = [kind, *arguments]
    if kind == "-c":
        sys.modules["__main__"] = own = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), own.__dict__)
    elif what in sys.modules and hasattr(sys.modules[what], "main"):
        sys.modules[what].main()
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


class _Forks:
    """The forks, by their connections."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._running: dict[int, socket.socket] = {}
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> dict[str, Any] | None:
        """Fork for each connection; return a fork's request in the fork, or None at the end."""
        with selectors.DefaultSelector() as selector:
            for file in (self._listener, self._woken, sys.stdin):
                selector.register(file, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is sys.stdin:
                        return self._end()
                    if key.fileobj == self._woken:
                        self._reap(selector)
                    elif key.fileobj is not self._listener:
                        self._kill(key.data)  # its launcher has ended
                    elif (request := self._fork(selector)) is not None:
                        return request

    def _fork(self, selector: selectors.BaseSelector) -> dict[str, Any] | None:
        connection, _ = self._listener.accept()
        message, given = b"", list[int]()
        with contextlib.suppress(OSError):  # the launcher was killed
            message, given, _, _ = socket.recv_fds(connection, 1 << 20, _FREE)
        if not message:
            connection.close()
            return None
        pid = os.fork()
        if not pid:
            self._become(connection, given)
            return json.loads(message)
        for fd in given:
            os.close(fd)
        with contextlib.suppress(OSError):
            connection.send(str(pid).encode())
        self._running[pid] = connection
        selector.register(connection, selectors.EVENT_READ, pid)
        return None

    def _become(self, connection: socket.socket, given: Sequence[int]) -> None:
        """Take the descriptors of the launcher, and nothing of this process's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for file in (self._listener, connection, *self._running.values()):
            file.close()
        for fd in (self._woken, self._wake):
            os.close(fd)
        for number, fd in enumerate(given):
            os.dup2(fd, number)
            os.close(fd)
        for number in range(len(given), _FREE):
            os.close(number)
        random.seed()
        if numpy := sys.modules.get("numpy.random"):
            numpy.seed()

    def _reap(self, selector: selectors.BaseSelector) -> None:
        os.read(self._woken, 4096)
        for pid, connection in [*self._running.items()]:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._running[pid]
                selector.unregister(connection)
                with connection, contextlib.suppress(OSError):
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())

    def _kill(self, pid: int) -> None:
        if pid in self._running:
            os.kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        for pid in self._running:
            os.kill(pid, signal.SIGKILL)
        for pid in self._running:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
