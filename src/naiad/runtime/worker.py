"""The process that runs a pipeline's hooks: ``python -m naiad.runtime.worker``.

It is started by :class:`naiad.runtime.executor.ProcessExecutor`, which hands it three inherited
file descriptors: a socket for messages and two shared-memory arenas, one for what comes in and
one for what goes out. The socket carries only messages that the two of them make (names, shapes,
offsets); a client's data stays in the arenas as plain arrays.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from naiad.batching import Budget
from naiad.error_text import described
from naiad.errors import NaiadError, PipelineError
from naiad.pipeline import Pipeline, Request, load_pipeline
from naiad.runtime.messages import Done, Failed, Ready, Spec, Task, pack_error
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.schema import Array

T = TypeVar("T")
_log = logging.getLogger(__name__)


def load(spec: Spec, kind: type[Pipeline] | None = None) -> Runner:
    """Load the pipeline, or ``kind``, and its model in this process, and run its example once.

    The first forward of a process is slow (allocations, lazy initialisation): better now than in
    somebody's request.
    """
    kind = kind or load_pipeline(spec.pipeline)
    if kind.arrays == "torch":
        import torch

        # One thread: several on a shared machine spin against each other (10 to 100 times slower).
        torch.set_num_threads(spec.threads)
    pipeline = kind(Path(spec.weights) if spec.weights else None)
    budget = None if spec.budget is None else Budget(**spec.budget)
    runner = Runner(pipeline, spec.device, budget=budget)
    request = runner.contract.request(pipeline.example(), "", {})
    outcome = runner.run([request]).outcomes[0]
    if isinstance(outcome, NaiadError):
        _log.warning("%s does not answer its own example: %s", kind.name, outcome)
    return runner


def serve(connection: Connection, inbox: Arena, outbox: Arena, runner: Runner) -> None:
    """Answer tasks until the other end goes away."""
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        outbox.trim()
        try:
            done = _run(task, inbox, outbox, runner)
        except BaseException as error:
            done = _failed(task, outbox, error)
        connection.send(done)


def _failed(task: Task, outbox: Arena, error: BaseException) -> Done:
    """The answer to a batch that failed outside of its hooks."""
    _log.error("a batch failed inside Naiad: %s", described(error))
    failure = pack_error(PipelineError(f"internal error: {described(error)}"))
    failures = dict.fromkeys(range(len(task.ids)), failure)
    return Done(outbox.write([{} for _ in task.ids]), failures, {}, [])


def _run(task: Task, inbox: Arena, outbox: Arena, runner: Runner) -> Done:
    arrays = inbox.read(task.layout)
    requests = [
        Request(a, s, i, p)
        for a, s, i, p in zip(arrays, task.sizes, task.ids, task.parameters, strict=True)
    ]
    report = runner.run(requests)
    failures: dict[int, tuple[str, str]] = {}
    outputs: list[Mapping[str, Array]] = []
    for number, outcome in enumerate(report.outcomes):
        if isinstance(outcome, NaiadError):
            failures[number] = pack_error(outcome)
            outputs.append({})
        else:
            outputs.append(outcome)
    return Done(outbox.write(outputs), failures, report.seconds, report.batches)


def _die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux ``prctl``)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


def begin(parent: int) -> None:
    """What every worker process does first; ``parent`` is who started it, with whom it ends."""
    _die_with_parent()
    if os.getppid() != parent:
        sys.exit(0)
    # The terminal's Ctrl-C is for the server, which drains; workers end when their socket closes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


def loaded(load: Callable[[], T], fail: Callable[[NaiadError], None]) -> T | None:
    """What ``load`` returns, ready to serve; None where it raises, after ``fail`` was told why."""
    try:
        made = load()
    except NaiadError as error:
        fail(error)
        return None
    except BaseException as error:
        with contextlib.suppress(BaseException):  # a traceback is written by the error's own code
            _log.exception("the model could not be loaded")
        fail(PipelineError(f"setup() raised {described(error)}"))
        return None
    # torch leaves half a million objects for every full collection to visit: 260 ms each time.
    gc.collect()
    gc.freeze()
    return made


def main() -> None:
    """Load the model, say so, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("socket", "inbox", "outbox", "parent"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--spec", required=True)
    args = parser.parse_args()
    begin(args.parent)
    with Connection(args.socket) as connection:
        runner = loaded(
            lambda: load(Spec(**json.loads(args.spec))),
            lambda error: connection.send(Failed(pack_error(error))),
        )
        if runner is not None:
            connection.send(Ready(runner.contract))
            serve(connection, Arena(args.inbox), Arena(args.outbox), runner)


if __name__ == "__main__":
    main()
