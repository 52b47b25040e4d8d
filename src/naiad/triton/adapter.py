"""A pipeline as a model of Triton's Python backend.

The stub process that Triton starts runs no model code, and does not even import the pipeline: it
decodes and validates as the workers' contract says, queues, and replies. ``execute`` takes each
request's response sender and returns at once; the reply follows when the request's batch is done.
Seen to work on Triton 2.51 with ``max_batch_size: 0`` over gRPC and HTTP: variable-size requests
are batched while every client keeps its exact wire format.
"""

from __future__ import annotations

import gc
import json
import math
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]

from naiad.error_text import described, kind_of, message_of
from naiad.errors import InvalidInput, NaiadError, PipelineError, Unavailable
from naiad.pipeline import Contract, Request
from naiad.runtime.runner import Outcome
from naiad.runtime.service import Service, make_executors
from naiad.runtime.ticket import Ticket
from naiad.schema import Array
from naiad.triton.metrics import Metrics
from naiad.triton.repository import resolve
from naiad.triton.service_config import read_service_config

PRIORITY_PARAMETER = "naiad_priority"
"""The request parameter by which a client says how urgent a request is: lower is sooner."""
_PRIORITIES = range(-10, 11)


class Reply:
    """One request's response sender, which gets exactly one final send.

    A sender that is dropped without one leaves its client waiting forever, and one asked whether
    it is cancelled after its final send crashes the server (both seen in Triton 2.51).
    """

    __slots__ = ("_lock", "_outputs", "_sender")

    def __init__(self, sender: Any, outputs: frozenset[str]) -> None:
        """Answer through ``sender``, with those ``outputs`` only (all where empty)."""
        self._sender = sender
        self._outputs = outputs
        self._lock = threading.Lock()

    def __call__(self, outcome: Outcome) -> None:
        """Send the outcome; a second call does nothing."""
        with self._lock:
            sender, self._sender = self._sender, None
        if sender is not None:
            sender.send(
                response(outcome, self._outputs),
                flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL,
            )

    def cancelled(self) -> bool:
        """Whether the client gave up (gRPC only); False once answered."""
        with self._lock:
            return self._sender is not None and bool(self._sender.is_cancelled())

    def __del__(self) -> None:
        """Answer what nobody answered."""
        if getattr(self, "_sender", None) is not None:
            self(PipelineError("internal error: this request was dropped"))


class Flag:
    """A file by which another process says something; looked for a few times a second at most."""

    _INTERVAL = 0.05  # seconds; a look costs as much as all else that is done to accept a request

    __slots__ = ("_looked", "_path", "_up")

    def __init__(self, path: str | None) -> None:
        """Look for ``path``; with None the flag is never up."""
        self._path = path
        self._looked = -math.inf
        self._up = False

    def is_up(self) -> bool:
        """Whether the file is there, or was an instant ago."""
        if self._path is not None:
            now = time.monotonic()
            if now - self._looked >= self._INTERVAL:
                self._looked = now
                self._up = Path(self._path).exists()
        return self._up


class PipelineModel:
    """What ``TritonPythonModel`` must be; the class itself is made by :func:`triton_model`."""

    spec: str
    version: Path

    def initialize(self, args: Mapping[str, str]) -> None:
        """Start the workers; Triton reports what this raises as the reason of a failed load."""
        config = read_service_config(
            json.loads(args["model_config"]), resolve(self.spec, self.version), self.version
        )
        self._metrics = Metrics(pb_utils, args["model_name"], args["model_version"])
        self._service = Service(
            make_executors(
                config.spec,
                instances=config.instances,
                kind=config.executor,
                watchdog=config.watchdog,
            ),
            self._metrics,
            queue_capacity=config.queue_capacity,
            max_queue_delay=config.max_queue_delay,
            latency_target=config.latency_target,
            cost=config.cost,
        )
        self._metrics.start()
        # What is here now stays: no collection needs to visit it while a request waits.
        gc.collect()
        gc.freeze()
        # Triton 2.51, asked to stop, goes on taking requests as long as an HTTP connection is open,
        # and cuts off those in flight at its exit timeout. So new ones are refused here.
        self._stopping = Flag(os.environ.get("NAIAD_STOPPING"))

    def execute(self, requests: list[Any]) -> None:
        """Take the requests on; they are answered from other threads."""
        for request in requests:
            self._accept(request)

    def finalize(self) -> None:
        """Answer what waits and end the workers."""
        self._service.close()
        self._metrics.close()

    def _accept(self, request: Any) -> None:
        # Nothing here may keep the request object: it pins the shared-memory pool.
        reply = Reply(request.get_response_sender(), frozenset(request.requested_output_names()))
        try:
            if self._stopping.is_up():
                raise Unavailable("the server is stopping")
            decoded = _decode(self._service.contract, request)
            ticket = Ticket(
                decoded, reply, reply.cancelled, _priority(decoded), request.timeout() / 1e6 or None
            )
        except NaiadError as error:
            reply(error)
            self._metrics.reply(error)
        except Exception as error:  # its id or parameters are no text, or its bytes no tensors
            failure = InvalidInput(f"the request could not be read: {described(error)}")
            reply(failure)
            self._metrics.reply(failure)
        else:
            self._service.submit(ticket)


def triton_model(spec: str, model_file: str) -> type[PipelineModel]:
    """The class that ``model.py`` must call ``TritonPythonModel``.

    ``spec`` names the pipeline as ``package.module:Class``, or as ``file.py:Class`` with the file
    beside ``model_file``.
    """
    members = {"spec": spec, "version": Path(model_file).resolve().parent}
    return type("TritonPythonModel", (PipelineModel,), members)


def _decode(contract: Contract, request: Any) -> Request:
    arrays: dict[str, Array] = {
        tensor.name(): tensor.as_numpy()
        for tensor in request.inputs()
        if tensor.name() in contract.inputs
    }
    parameters: dict[str, Any] = json.loads(request.parameters() or "{}")
    for name, value in parameters.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"parameter {name} is {value}; it must be a finite number")
    return contract.request(arrays, request.request_id(), parameters)


def _priority(request: Request) -> int:
    # Triton's own request priority does not reach Python models (seen in 2.51): it orders the
    # queue of Triton's scheduler, in which our requests do not wait.
    value = request.parameters.get(PRIORITY_PARAMETER, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value not in _PRIORITIES:
        raise InvalidInput(
            f"parameter {PRIORITY_PARAMETER} is {value!r}; it must be an integer from "
            f"{_PRIORITIES.start} (most urgent) to {_PRIORITIES.stop - 1}"
        )
    return value


def response(outcome: Outcome, wanted: frozenset[str]) -> Any:
    """Triton's form of an outcome, with the outputs ``wanted`` (all where empty)."""
    if isinstance(outcome, NaiadError):
        # Looked up now: pb_utils is given its classes only after this module was imported.
        internal = pb_utils.TritonError.INTERNAL
        code = getattr(pb_utils.TritonError, kind_of(outcome).code, internal)
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(message_of(outcome), code))
    return pb_utils.InferenceResponse(
        [
            pb_utils.Tensor(name, array)
            for name, array in outcome.items()
            if not wanted or name in wanted
        ]
    )
