"""A worker process of the front: ``python -m naiad.native.worker``.

It is started by ``worker.h`` with a socket as descriptor 3, and shared memory as 4 (what comes in)
and as 5 and 6 (what goes out, in turn). The first message says what to load; then tasks are
answered, one by one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from naiad.error_text import described, message_of
from naiad.graph import Batch
from naiad.native.merging import Merger
from naiad.native.wire import Wire
from naiad.pipeline import Request
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.runtime.worker import begin, load, loaded
from naiad.triton.backends.graphs import DIMS_PARAMETER, adapter_parameters, graph_spec
from naiad.triton.config import PIPELINE_PARAMETER
from naiad.triton.model_config import parse_model_config
from naiad.triton.repository import resolve
from naiad.triton.service_config import ServiceConfig, read_service_config

_log = logging.getLogger(__name__)
_SOCKET: Final = 3
_INBOX: Final = 4
_OUTBOXES: Final = (5, 6)


def service_config(hello: Mapping[str, Any]) -> ServiceConfig:
    """What the front's first message says is to be served.

    Raises:
        NaiadError: the model's configuration is wrong.
    """
    config, folder = hello["config"], Path(hello["path"])
    version = folder / str(hello["version"])
    parameters = config.get("parameters", {})
    if DIMS_PARAMETER in parameters and PIPELINE_PARAMETER not in parameters:
        # Where the path has what Triton cannot take, the server has given it a link.
        version = version.resolve()
        exported = parse_model_config(json.dumps(config), version.parent)
        own = adapter_parameters(exported, hello["device"])
        config = {**config, "parameters": {k: {"string_value": v} for k, v in own.items()}}
        return read_service_config(config, graph_spec(version), version)
    version = version.resolve()
    spec = resolve(parameters[PIPELINE_PARAMETER]["string_value"], version)
    return read_service_config(config, spec, version)


def serve(
    connection: Connection, inbox: Arena, outboxes: Sequence[Arena], wire: Wire, runner: Runner
) -> None:
    """Answer tasks until the other end goes away."""
    merger = Merger.of(runner)
    for outbox in cycle(outboxes):
        try:
            task = connection.recv_bytes()
        except (EOFError, ConnectionResetError):
            return
        outbox.trim()
        connection.send_bytes(answer(task, inbox, outbox, wire, runner, merger))


def answer(
    task: bytes, inbox: Arena, outbox: Arena, wire: Wire, runner: Runner, merger: Merger
) -> bytes:
    """Answer a task. Nothing that it holds, and nothing that a hook raises, ends the worker."""
    try:
        read = wire.read(task, inbox)
        if isinstance(read, Batch):
            done = merger.run(read)
            return wire.want_apart(read) if done is None else wire.write_merged(*done, outbox)
        report = runner.run([request for request in read if isinstance(request, Request)])
        return wire.write(read, report, outbox)
    except BaseException as error:
        _log.error("a batch failed inside Naiad: %s", described(error))
        return wire.write_failure(task, error)


def main() -> None:
    """Load the model, say what it takes, and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--serves", help="what it serves, for lists of processes")
    # Triton's own sockets came along: a worker must not keep its ports.
    os.closerange(_OUTBOXES[-1] + 1, os.sysconf("SC_OPEN_MAX"))
    begin(parser.parse_args().parent)
    with Connection(_SOCKET) as connection:

        def load_model() -> tuple[Runner, Wire, str]:
            config = service_config(json.loads(connection.recv_bytes()))
            runner = load(config.spec)
            wire = Wire.of(type(runner.pipeline), runner.contract)
            return runner, wire, wire.announced(config)

        made = loaded(
            load_model,
            lambda error: connection.send_bytes(json.dumps({"error": message_of(error)}).encode()),
        )
        if made is not None:
            runner, wire, announced = made
            connection.send_bytes(announced.encode())
            serve(connection, Arena(_INBOX), [*map(Arena, _OUTBOXES)], wire, runner)


if __name__ == "__main__":
    main()
