"""Where a model runs: in a worker process (the default) or in a thread of the caller.

Both are one seam, :class:`Executor`: start, run a list of requests, close. A process can be
killed when it hangs, does not take its callers down when it crashes, and shares no interpreter
lock with decoding and batching.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from naiad.errors import PipelineError
from naiad.pipeline import Contract, Pipeline, Request
from naiad.runtime.environment import worker_environment
from naiad.runtime.messages import Done, Failed, Ready, Task, unpack_error
from naiad.runtime.runner import Outcome, Report, Runner
from naiad.runtime.shared import Arena
from naiad.runtime.spec import Spec
from naiad.runtime.worker import load

_MODULE = "naiad.runtime.worker"


class WorkerLost(Exception):
    """The worker process ended or was killed before it answered.

    Attributes:
        kind: ``died``, ``hung``, ``not_loaded`` or ``internal``, for metrics.
    """

    def __init__(self, message: str, kind: str = "died") -> None:
        super().__init__(message)
        self.kind = kind


class Executor(Protocol):
    """Runs lists of requests, one list at a time."""

    def start(self) -> Contract:
        """Load the model and say what it takes. Raises NaiadError where it cannot be loaded."""
        ...

    def run(self, requests: Sequence[Request]) -> Report:
        """Answer the requests. Raises WorkerLost where the model died over them.

        The outputs may be views of shared memory, valid until the next call.
        """
        ...

    def lost(self) -> WorkerLost | None:
        """Why the model can no longer be run, if it cannot: what ``run`` would raise."""
        ...

    def close(self) -> None:
        """Release the model; ``start`` loads it again."""
        ...


class ThreadExecutor:
    """Runs the model in the calling thread: for tests, and models too small for a process."""

    def __init__(self, spec: Spec) -> None:
        """Run what ``spec`` says; nothing is loaded before ``start``."""
        self._spec = spec
        self._runner: Runner | None = None

    def start(self) -> Contract:
        """Load the model into this process."""
        self._runner = load(self._spec)
        return self._runner.contract

    def run(self, requests: Sequence[Request]) -> Report:
        """Answer the requests."""
        if self._runner is None:
            raise WorkerLost("the model is not loaded")
        return self._runner.run(requests)

    def lost(self) -> WorkerLost | None:
        """None: a thread does not end by itself."""
        return None

    def close(self) -> None:
        """Let go of the model."""
        self._runner = None


class ProcessExecutor:
    """Runs the model in one worker process of its own; after WorkerLost, ``start`` again.

    Arrays travel in shared memory, one copy in and one out; one small message each way per list.
    """

    def __init__(
        self, spec: Spec, *, load_timeout: float = 300.0, watchdog: float = Pipeline.watchdog
    ) -> None:
        """Allow ``load_timeout`` seconds for loading and ``watchdog`` seconds for one list."""
        self._spec = spec
        self._load_timeout = load_timeout
        self._watchdog = watchdog
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._answers = select.poll()
        self._inbox: Arena | None = None
        self._outbox: Arena | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id, while it has one."""
        return None if self._process is None else self._process.pid

    def launch(self) -> None:
        """Start the process without waiting for the model, so that several can load at once."""
        self.close()
        ours, theirs = socket.socketpair()
        self._inbox, self._outbox = Arena(), Arena()
        fds = {
            "socket": theirs.fileno(),
            "inbox": self._inbox.fd,
            "outbox": self._outbox.fd,
            "parent": os.getpid(),
        }
        command = [python(), "-m", _MODULE, "--spec", json.dumps(asdict(self._spec))]
        for name, number in fds.items():
            command += [f"--{name}", str(number)]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env=worker_environment(self._spec.threads),
                pass_fds=[theirs.fileno(), self._inbox.fd, self._outbox.fd],
            )
        self._connection = Connection(ours.detach())
        # Made once: Connection.poll makes one each time, which takes as long as the message itself.
        self._answers = select.poll()
        self._answers.register(self._connection, select.POLLIN)

    def start(self) -> Contract:
        """Start the process and wait until its model is loaded.

        Raises:
            NaiadError: what ``setup`` raised, or that the process ended or took too long.
        """
        if self._process is None:
            self.launch()
        try:
            message = self._receive(self._load_timeout)
        except WorkerLost as lost:
            self.close()
            raise PipelineError(f"while loading {self._spec.pipeline}: {lost}") from None
        if isinstance(message, Ready):
            return message.contract
        self.close()
        raise unpack_error(message.error) if isinstance(message, Failed) else _unexpected(message)

    def run(self, requests: Sequence[Request]) -> Report:
        """Answer the requests; the outputs are views, valid until the next call.

        Raises:
            WorkerLost: the process ended, or took longer than the watchdog allows and was killed.
        """
        if self._connection is None or self._inbox is None or self._outbox is None:
            raise WorkerLost("the worker process is not running")
        task = Task(
            self._inbox.write([r.arrays for r in requests]),
            [dict(r.sizes) for r in requests],
            [r.id for r in requests],
            [dict(r.parameters) for r in requests],
        )
        try:
            self._connection.send(task)
        except OSError:
            raise WorkerLost(self._obituary()) from None
        done = self._receive(self._watchdog)
        if not isinstance(done, Done):
            raise _unexpected(done)
        self._inbox.trim()
        outcomes: list[Outcome] = []
        for number, arrays in enumerate(self._outbox.read(done.layout)):
            failure = done.failures.get(number)
            outcomes.append(arrays if failure is None else unpack_error(failure))
        return Report(outcomes, done.seconds, done.batches)

    def lost(self) -> WorkerLost | None:
        """How the process ended, if it did."""
        if self._process is not None and self._process.poll() is None:
            return None
        return WorkerLost(self._obituary())

    def close(self) -> None:
        """End the process, at once if it does not end by itself."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            try:
                self._process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        for arena in (self._inbox, self._outbox):
            if arena is not None:
                arena.close()
        self._inbox = self._outbox = None

    def _receive(self, timeout: float) -> object:
        if self._connection is None:
            raise WorkerLost("the worker process is not running")
        try:
            if not self._answers.poll(1000 * timeout):
                if self._process is not None:
                    self._process.kill()
                raise WorkerLost(
                    f"the worker did not answer within {timeout:g} s and was killed", "hung"
                )
            return self._connection.recv()
        except (EOFError, ConnectionError):
            raise WorkerLost(self._obituary()) from None

    def _obituary(self) -> str:
        if self._process is None:
            return "the worker process is not running"
        try:
            status = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return "the worker process closed its socket"
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return f"the worker process ended {how}"


def _unexpected(message: object) -> PipelineError:
    return PipelineError(f"a worker process sent {message!r}, which makes no sense here")


def python() -> str:
    """The Python for worker processes: inside Triton's stub, ``sys.executable`` is the stub."""
    candidates = [
        os.environ.get("NAIAD_PYTHON"),
        str(Path(sys.prefix, "bin", "python3")),
        sys.executable if Path(sys.executable or "").name.startswith("python") else None,
        shutil.which("python3"),
    ]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    raise PipelineError("no Python for worker processes was found; set NAIAD_PYTHON to one")
