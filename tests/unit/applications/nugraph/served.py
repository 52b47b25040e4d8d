"""A small gRPC server that answers like NuGraph3, by a rule instead of a network."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2, service_pb2_grpc

from naiad.applications.nugraph.events import Event
from naiad.applications.nugraph.labels import EVENT_CLASSES, SEMANTIC_CLASSES
from naiad.applications.nugraph.results import Labels
from naiad.applications.nugraph.schema import INPUTS, OUTPUTS, PLANES

messages: Any = service_pb2

NOTICE = "trained on simulated events, not for physics"
LABELS = Labels(SEMANTIC_CLASSES, EVENT_CLASSES, NOTICE)

_KINDS = {"int32": "INT32", "float32": "FP32"}


def answer(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Give hit i class i modulo 7, and signal unless 3 divides i; x is the hit count."""
    plane, ids = arrays["hit_table_local_plane"], arrays["hit_table_hit_id"]
    outputs: dict[str, NDArray[Any]] = {
        "e_evt": np.array([[0, 1, -1, len(plane) % 3]], np.float32),
        "v_evt": np.array([[len(plane), 2, 3]], np.float32),
        "unknown_hits": np.array([len(plane) % 2], np.int32),
    }
    for number, name in enumerate(PLANES):
        here = ids[plane == number]
        outputs[f"x_semantic_{name}"] = 5 * np.eye(7, dtype=np.float32)[here % 7]
        outputs[f"x_filter_{name}"] = np.where(here % 3 == 0, 0.1, 0.9).astype(np.float32)
    return outputs


class NuGraph3(service_pb2_grpc.GRPCInferenceServiceServicer):
    """The model ``name``, which refuses the event numbers in ``refuse``."""

    def __init__(self, name: str, refuse: frozenset[int]) -> None:
        self.name, self.refuse = name, refuse
        self.ready = True
        self.requests: list[Any] = []

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=self.ready)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ModelReadyResponse(ready=self.ready and request.name == self.name)

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ServerMetadataResponse(name="triton", version="0.0.0")

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model {request.name!r}")
        tensors = {
            kind: [
                {"name": name, "data_type": f"TYPE_{_KINDS[tensor.dtype]}", "dims": [-1]}
                for name, tensor in schema.items()
            ]
            for kind, schema in (("input", INPUTS), ("output", OUTPUTS))
        }
        for tensor in tensors["output"]:
            rank = answer_rank(tensor["name"])
            tensor["dims"] = [-1] * rank
        parameters = {
            "semantic_classes": json.dumps(SEMANTIC_CLASSES),
            "event_classes": ",".join(EVENT_CLASSES),
            "notice": NOTICE,
        }
        config = {
            "name": self.name,
            "max_batch_size": 0,
            **tensors,
            "parameters": {k: {"string_value": v} for k, v in parameters.items()},
        }
        return json_format.ParseDict({"config": config}, messages.ModelConfigResponse())

    def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        index = messages.RepositoryIndexResponse()
        index.models.add(name=self.name, version="1", state="READY")
        return index

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.requests.append(request)
        event = int(request.id.rsplit("/", 1)[-1])
        if event in self.refuse:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"event {event} is not to my taste")
        if not self.ready:
            context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
        arrays = {
            tensor.name: np.frombuffer(raw, INPUTS[tensor.name].dtype)
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        reply = messages.ModelInferResponse(model_name=self.name, id=request.id)
        for name, array in answer(arrays).items():
            kind = _KINDS[str(array.dtype)]
            reply.outputs.add(name=name, datatype=kind, shape=array.shape)
            reply.raw_output_contents.append(array.tobytes())
        return reply


def answer_rank(name: str) -> int:
    return 2 if name.startswith("x_semantic") or name in ("e_evt", "v_evt") else 1


@contextmanager
def nugraph3_server(
    *, name: str = "nugraph3", refuse: frozenset[int] = frozenset()
) -> Generator[tuple[str, NuGraph3]]:
    """Run a server; yield its address and itself."""
    served = NuGraph3(name, refuse)
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(served, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", served
    finally:
        server.stop(grace=None).wait()


def make_event(
    planes: list[int], *, event: int = 1, run: int = 7, subrun: int = 2, spacepoints: int = 0
) -> Event:
    """Make an event with hits on these planes, in this order, along a line."""
    count = len(planes)
    numbers = np.arange(count)
    return Event(
        run,
        subrun,
        event,
        hits={
            "hit_id": numbers.astype(np.int32),
            "local_plane": np.array(planes, np.int32).reshape(count),
            "local_time": (1000 + 7.5 * numbers).astype(np.float32),
            "local_wire": (300 + 2 * numbers).astype(np.int32),
            "integral": (20.0 + 30.0 * numbers).astype(np.float32),
            "rms": np.full(count, 4, np.float32),
        },
        spacepoints={
            "spacepoint_id": np.arange(spacepoints, dtype=np.int32),
            **{f"hit_id_{plane}": np.full(spacepoints, -1, np.int32) for plane in PLANES},
        },
    )
