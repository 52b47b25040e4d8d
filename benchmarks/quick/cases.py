"""Hot paths, each as a function to call once after everything it needs is ready."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias, cast
from unittest.mock import patch

import numpy as np
from benchmarks.nugraph3.inputs import Size, simulated
from benchmarks.overhead.echo import Echo
from tests.support.wire import protocol, task
from tritonclient.grpc import service_pb2 as messages

from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.simulate import simulate
from naiad.applications.nugraph import native_library
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.client.grpc import GrpcCalls
from naiad.client.transport import InferRequest
from naiad.client.wire import datatype
from naiad.core.merging import Batch, collate, split
from naiad.core.pipeline import Pipeline, Request, default_weights
from naiad.core.schema import Arrays, measure, validate
from naiad.errors import NaiadError
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.runtime.spec import Spec
from naiad.runtime.wire import Wire
from naiad.runtime.worker import load

Work: TypeAlias = "Callable[[], object]"

TOGETHER: Final = 8
"""Events of a batch."""
GRAPHS: Final = 16


def forward(size: Size) -> Work:
    """NuGraph3's compiled network on one event, prepared and merged."""
    runner = nugraph3()
    samples = [prepared(runner, event) for event in events(size, 1)]
    batch = collate(NuGraph3.sample, samples, [measure(NuGraph3.sample, one) for one in samples])
    return lambda: runner.pipeline.forward(batch)


def prepare(size: Size) -> Work:
    """NuGraph3's graph of an event."""
    runner, (event,) = nugraph3(), events(size, 1)
    request = Request(event, validate(NuGraph3.inputs, event))
    return lambda: answered(runner.prepare(request))


def worker(runner: Runner, requests: list[Arrays]) -> Work:
    """A task of requests, read, run and answered as by a worker process."""
    wire = Wire.of(type(runner.pipeline), runner.contract)
    inbox, outbox = Arena(), Arena()
    asked = [("", {}, dict(request)) for request in requests]
    message = task(wire, inbox, asked, checked=True)

    def work() -> bytes:
        report = runner.run(cast("list[Request]", wire.read(message, inbox)))
        for outcome in report.outcomes:
            answered(outcome)
        return wire.write(report, outbox)

    return work


def client() -> Work:
    """An event encoded for gRPC, and an answer of the size of NuGraph3's decoded."""
    (event,) = events("small", 1)
    calls, (outcome,) = GrpcCalls(), nugraph3().run([request_of(NuGraph3, event)]).outcomes
    outputs = answered(outcome)
    reply = messages.ModelInferResponse()
    for name, array in outputs.items():
        reply.outputs.add(name=name, datatype=datatype(array), shape=array.shape)
        reply.raw_output_contents.append(protocol(array))
    received = reply.SerializeToString()

    def work() -> None:
        call = calls.infer(InferRequest("nugraph3", event, None, {}, "", 60.0))
        call.request[1].SerializeToString()
        call.read(messages.ModelInferResponse.FromString(received))

    return work


def merging() -> Work:
    """Small graphs merged, and merged results split."""
    samples = graphs()
    sizes = [measure(Gat.inputs, sample) for sample in samples]
    nodes = sum(size["nodes"] for size in sizes)
    logits = {"logits__0": np.zeros((nodes, Gat.outputs["logits__0"].dims[1]), np.float32)}

    def work() -> None:
        batch: Batch = collate(Gat.inputs, samples, sizes)
        split(Gat.outputs, logits, {"nodes": batch.sizes("nodes")}, batch.requests)

    return work


def gat() -> Work:
    """The graph attention network on small graphs, merged."""
    runner, samples = loaded(Gat), graphs()
    sizes = [measure(Gat.inputs, sample) for sample in samples]
    batch = collate(Gat.inputs, samples, sizes).torch("cpu")

    def work() -> Any:
        import torch

        with torch.inference_mode():
            return runner.pipeline.forward(batch)

    return work


CASES: Final[dict[str, Callable[[], Work]]] = {
    "NuGraph3 forward, small": lambda: forward("small"),
    "NuGraph3 forward, large": lambda: forward("large"),
    "NuGraph3 prepare, small": lambda: prepare("small"),
    "NuGraph3 prepare, large": lambda: prepare("large"),
    "worker, one echo of 1 KB": lambda: worker(loaded(Echo), [{"x": np.ones(256, np.float32)}]),
    f"worker, {TOGETHER} small events": lambda: worker(nugraph3(), events("small", TOGETHER)),
    "client, one small event": client,
    f"collate and split, {GRAPHS} graphs": merging,
    f"GAT forward, {GRAPHS} graphs": gat,
}


def nugraph3() -> Runner:
    """NuGraph3, as a worker loads it."""
    return loaded(NuGraph3)


@cache
def loaded(kind: type[Pipeline]) -> Runner:
    """Load a pipeline as a worker does, but without AVX-512, which valgrind lacks."""
    weights = default_weights(kind) if kind.weights else None
    known = [name for name in native_library.instruction_sets() if name != "avx512"]
    with patch.object(native_library, "instruction_sets", lambda: known):
        return load(Spec("", str(weights or ""), "cpu", threads=1), kind)


def events(size: Size, number: int) -> list[Arrays]:
    """Simulate events."""
    return list(simulated(size, number).requests)


def graphs() -> list[Arrays]:
    """Simulate citation graphs of 20 to 60 papers."""
    return [
        simulate(20 + 40 * number // (GRAPHS - 1), seed=number).arrays(row_normalised=True)
        for number in range(GRAPHS)
    ]


def request_of(kind: type[Pipeline], arrays: Arrays) -> Request:
    """Make a request that was checked."""
    return Request(arrays, validate(kind.inputs, arrays))


def prepared(runner: Runner, event: Arrays) -> Arrays:
    """Return the prepared sample of an event."""
    return answered(runner.prepare(request_of(NuGraph3, event)))[0]


def answered(outcome: Any) -> Any:
    """Return an outcome, or raise it."""
    if isinstance(outcome, NaiadError):
        raise outcome
    return outcome
