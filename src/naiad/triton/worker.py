"""A worker process of the native backend: ``python -m naiad.triton.worker``.

``worker.h`` starts it with a socket as descriptor 3, and shared memory as 4 (inputs) and as 5 and 6
(outputs, in turn). The first message says what to load; then tasks are answered one by one, or by
:func:`serve_ahead`, for which descriptor 7 counts the outputs that may be overwritten.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from naiad import __version__
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request, load_pipeline
from naiad.error_text import described, message_of
from naiad.errors import EngineError, NaiadError, PipelineError, Unavailable
from naiad.native.library import LIBRARY, library
from naiad.networks import threads
from naiad.runtime.merging import Merger
from naiad.runtime.preparer import Item, Preparer
from naiad.runtime.runner import Report, Runner
from naiad.runtime.shared import Arena
from naiad.runtime.spec import ServiceConfig
from naiad.runtime.wire import MORE, PROTOCOL, Wire
from naiad.runtime.worker import begin, load, loaded
from naiad.runtime.worker_log import log_as
from naiad.triton.backends.completion import complete, needs_completion
from naiad.triton.backends.exported import exported_pipeline, service_parameters
from naiad.triton.backends.signature import read_signature
from naiad.triton.config import PIPELINE_PARAMETER
from naiad.triton.model_config import ModelConfig, parse_model_config
from naiad.triton.repository import resolve
from naiad.triton.service_config import read_service_config

_log = logging.getLogger(__name__)
_SOCKET: Final = 3
_INBOX: Final = 4
_OUTBOXES: Final = (5, 6)
_FREE: Final = 7


def check_protocol(hello: Mapping[str, Any]) -> None:
    """Refuse a library of another Naiad.

    Raises:
        EngineError: its messages have another version.
    """
    if (theirs := hello.get("protocol")) != PROTOCOL:
        raise EngineError(
            f"{LIBRARY} uses version {theirs} of Naiad's messages, but Naiad {__version__} of "
            f"{sys.executable} uses {PROTOCOL}: export the model again with that Naiad, or copy "
            f"its library into {_version(hello)}: {library()}"
        )


def pipeline_of(hello: Mapping[str, Any]) -> tuple[type[Pipeline], ServiceConfig]:
    """Return the pipeline that the first message names, and its service.

    Raises:
        NaiadError: the model's configuration is invalid.
    """
    config, version, workers = hello["config"], _version(hello), int(hello["workers"])
    if (said := config.get("parameters", {}).get(PIPELINE_PARAMETER)) is not None:
        spec = resolve(said["string_value"], version)
        try:
            kind = load_pipeline(spec)
        except NaiadError:
            raise
        except Exception as error:  # of the user's code
            raise PipelineError(f"importing the model's file raised {described(error)}") from error
        return kind, read_service_config(config, spec, version, workers)
    known = _exported(hello)
    own = service_parameters(known, hello["device"])
    config = {"parameters": {key: {"string_value": value} for key, value in own.items()}}
    service = read_service_config(config, "", version, workers)
    return exported_pipeline(known, version.name), service


def completed(hello: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of the first message, completed from the model's file.

    Raises:
        NaiadError: the file cannot be read.
    """
    config: dict[str, Any] = hello["config"]
    known = _exported(hello)
    if needs_completion(known):
        complete(config, read_signature(known.model_file(_version(hello).name), known))
    return config


def _version(hello: Mapping[str, Any]) -> Path:
    # The path may be a link that the server made because Triton cannot use the real one.
    return Path(hello["path"], str(hello["version"])).resolve()


def _exported(hello: Mapping[str, Any]) -> ModelConfig:
    return parse_model_config(json.dumps(hello["config"]), _version(hello).parent)


def serve(
    connection: Connection, inbox: Arena, outboxes: Sequence[Arena], wire: Wire, runner: Runner
) -> None:
    """Answer tasks until the other end closes."""
    merger = Merger.of(runner)
    for outbox in cycle(outboxes):
        try:
            task = connection.recv_bytes()
        except (EOFError, ConnectionResetError):
            return
        outbox.trim()
        connection.send_bytes(answer(task, inbox, outbox, wire, runner, merger))


def threads_ahead(pipeline: type[Pipeline], config: ServiceConfig) -> int:
    """Return the number of threads that prepare beside ``forward``; 0 if that cannot pay.

    It cannot if ``prepare`` does nothing, if no core is free, or if batches are formed by their
    cost or to be full. Of several workers, each prepares while others run; and requests that one
    had taken early could not be run by another that is free.
    """
    formed = config.service.latency_target is not None or config.service.max_queue_delay
    if pipeline.prepare is Pipeline.prepare or config.workers > 1 or formed:
        return 0
    cores = len(os.sched_getaffinity(0))
    on_cpu = config.spec.device == "cpu"
    spare = cores - config.spec.threads if on_cpu else max(1, cores - 1)
    return max(0, min(pipeline.prepare_threads, spare))


def most_threads(config: ServiceConfig, beside: int) -> int:
    """Return the number of threads that a batch can use if all cores are free.

    It is always the same if it is set, or if nothing in this process follows it. ``beside`` other
    threads prepare requests.
    """
    fixed = config.service.threads is not None or config.spec.device != "cpu"
    if fixed or not threads.is_followed():
        return config.spec.threads
    return max(config.spec.threads, len(os.sched_getaffinity(0)) - beside)


def serve_ahead(
    connection: Connection,
    inbox: Arena,
    outboxes: Sequence[Arena],
    free: int,
    wire: Wire,
    preparer: Preparer,
) -> None:
    """Run requests that another thread prepares, until the other end closes.

    ``free`` is an eventfd that counts the outboxes whose results have been read.
    """
    sending = threading.Lock()

    def say(message: bytes) -> None:
        with sending:
            connection.send_bytes(message)

    def feed() -> None:
        try:
            while True:
                preparer.give(items_of(connection.recv_bytes(), inbox, wire))
                say(MORE)
        except (EOFError, OSError):
            pass
        finally:
            preparer.close()

    threading.Thread(target=feed, daemon=True).start()
    for outbox in cycle(outboxes):
        items = preparer.take()
        if items is None:
            return
        report = run_items(items, preparer.runner)
        os.eventfd_read(free)
        outbox.trim()
        try:
            said = wire.write(report, outbox)
        except BaseException as error:
            said = wire.write(Report([*failed(error, len(items))]), outbox)
        say(said)


def items_of(task: bytes, inbox: Arena, wire: Wire) -> list[Item]:
    """Return the requests of a task; no content of a task ends the worker."""
    try:
        read = wire.read(task, inbox)
        if isinstance(read, Batch):
            raise PipelineError("merged requests cannot be prepared")
        number, claims = wire.threads(task), wire.claims(task, inbox)
        return [Item(r, c.take, number) for r, c in zip(read, claims, strict=True)]
    except Exception as error:
        return [Item(one, lambda: True) for one in failed(error, wire.requests(task))]


def run_items(items: Sequence[Item], runner: Runner) -> Report:
    """Run prepared requests that clients still wait for."""
    start = time.perf_counter()
    try:
        threads.use(min(item.threads for item in items))
        unwanted = Unavailable("nobody waits for this request any more")
        report = runner.run_prepared([item.made if item.claim() else unwanted for item in items])
    except BaseException as error:
        report = Report([*failed(error, len(items))])
    prepare = sum(item.seconds for item in items)
    report.seconds["prepare"] = prepare
    ends = (item.began + item.seconds for item in items)
    report.spans["prepare"] = (min(item.began for item in items), max(ends))
    report.seconds["queue"] = sum(start - item.given for item in items) - prepare
    return report


def answer(
    task: bytes, inbox: Arena, outbox: Arena, wire: Wire, runner: Runner, merger: Merger
) -> bytes:
    """Answer a task. Neither its content nor what a hook raises ends the worker."""
    try:
        threads.use(wire.threads(task))
        read = wire.read(task, inbox)
        if isinstance(read, Batch):
            done = merger.run(read)
            return wire.want_apart(read) if done is None else wire.write(done, outbox)
        report = runner.run([request for request in read if isinstance(request, Request)])
        ran = iter(report.outcomes)
        report.outcomes = [one if isinstance(one, NaiadError) else next(ran) for one in read]
        return wire.write(report, outbox)
    except BaseException as error:
        return wire.write(Report([*failed(error, wire.requests(task))]), outbox)


def failed(error: BaseException, requests: int) -> list[PipelineError]:
    """Return the answers to a batch that failed outside its hooks."""
    _log.error("a batch failed inside Naiad: %s", described(error))
    return [PipelineError(f"internal error: {described(error)}")] * requests


def main() -> None:
    """Load the model, send its description and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--serves", default="", help="the model, and its pipeline")
    # Triton's sockets are inherited: a worker must not keep its ports.
    os.closerange(_FREE + 1, os.sysconf("SC_OPEN_MAX"))
    given = parser.parse_args()
    begin(given.parent)
    log_as(given.serves.partition(" ")[0])
    with Connection(_SOCKET) as connection:

        def load_model() -> tuple[Runner, Preparer | None, Wire, str] | None:
            hello = json.loads(connection.recv_bytes())
            check_protocol(hello)
            if not hello["device"]:
                connection.send_bytes(json.dumps(completed(hello)).encode())
                return None
            kind, config = pipeline_of(hello)
            runner = load(config.spec, kind)
            wire = Wire.of(type(runner.pipeline), runner.contract)
            beside = threads_ahead(type(runner.pipeline), config)
            preparer = Preparer(runner, beside) if beside else None
            most = most_threads(config, beside)
            said = wire.announced(config, ahead=beside > 0, most_threads=most)
            return runner, preparer, wire, said

        made = loaded(
            load_model,
            lambda error: connection.send_bytes(json.dumps({"error": message_of(error)}).encode()),
        )
        if made is not None:
            runner, preparer, wire, announced = made
            connection.send_bytes(announced.encode())
            inbox, outboxes = Arena(_INBOX), [*map(Arena, _OUTBOXES)]
            if preparer is None:
                serve(connection, inbox, outboxes, wire, runner)
            else:
                serve_ahead(connection, inbox, outboxes, _FREE, wire, preparer)


if __name__ == "__main__":
    main()
