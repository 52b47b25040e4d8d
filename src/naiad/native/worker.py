"""A worker process of the native backend: ``python -m naiad.native.worker``.

It is started by ``worker.h`` with a socket as descriptor 3, and shared memory as 4 (what comes in)
and as 5 and 6 (what goes out, in turn). The first message says what to load; then tasks are
answered, one by one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from naiad import __version__
from naiad.error_text import described, message_of
from naiad.errors import EngineError
from naiad.graph import Batch
from naiad.native.library import LIBRARY, library
from naiad.native.merging import Merger
from naiad.native.wire import PROTOCOL, Wire
from naiad.pipeline import Pipeline, Request, load_pipeline
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.runtime.worker import begin, load, loaded
from naiad.triton.backends.completion import complete
from naiad.triton.backends.exported import exported_pipeline, service_parameters
from naiad.triton.backends.signature import read_signature
from naiad.triton.config import PIPELINE_PARAMETER
from naiad.triton.model_config import ModelConfig, parse_model_config
from naiad.triton.repository import resolve
from naiad.triton.service_config import ServiceConfig, read_service_config

_log = logging.getLogger(__name__)
_SOCKET: Final = 3
_INBOX: Final = 4
_OUTBOXES: Final = (5, 6)


def check_protocol(hello: Mapping[str, Any]) -> None:
    """Refuse a library that is not of this Naiad.

    Raises:
        EngineError: it has other messages.
    """
    if (theirs := hello.get("protocol")) != PROTOCOL:
        raise EngineError(
            f"{LIBRARY} has version {theirs} of Naiad's messages, and the Naiad {__version__} of "
            f"{sys.executable} has {PROTOCOL}: export the model again with that Naiad, or copy its "
            f"library into {_version(hello)}: {library()}"
        )


def pipeline_of(hello: Mapping[str, Any]) -> tuple[type[Pipeline], ServiceConfig]:
    """The pipeline that the first message names, and how it is served.

    Raises:
        NaiadError: the model's configuration is wrong.
    """
    config, version = hello["config"], _version(hello)
    if (said := config.get("parameters", {}).get(PIPELINE_PARAMETER)) is not None:
        spec = resolve(said["string_value"], version)
        return load_pipeline(spec), read_service_config(config, spec, version)
    known = _exported(hello)
    own = service_parameters(known, hello["device"])
    config = {"parameters": {key: {"string_value": value} for key, value in own.items()}}
    return exported_pipeline(known, version.name), read_service_config(config, "", version)


def completed(hello: Mapping[str, Any]) -> dict[str, Any]:
    """The config of the first message, with what it leaves out added from the model's file.

    Raises:
        NaiadError: the file cannot be read.
    """
    config: dict[str, Any] = hello["config"]
    complete(config, read_signature(_exported(hello).model_file(_version(hello).name)))
    return config


def _version(hello: Mapping[str, Any]) -> Path:
    # Where the path has what Triton cannot take, the server has given it a link.
    return Path(hello["path"], str(hello["version"])).resolve()


def _exported(hello: Mapping[str, Any]) -> ModelConfig:
    return parse_model_config(json.dumps(hello["config"]), _version(hello).parent)


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

        def load_model() -> tuple[Runner, Wire, str] | None:
            hello = json.loads(connection.recv_bytes())
            check_protocol(hello)
            if not hello["device"]:
                connection.send_bytes(json.dumps(completed(hello)).encode())
                return None
            kind, config = pipeline_of(hello)
            runner = load(config.spec, kind)
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
