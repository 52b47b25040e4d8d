"""A gRPC server in this process that answers with real pipelines, for commands."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from naiad import NaiadError, Request
from naiad.client.wire import datatype, pack, unpack
from naiad.core.schema import validate
from naiad.runtime.runner import Runner
from naiad.triton.config import read_config
from naiad.triton.repository import ExportedModel

messages: Any = service_pb2


class Served(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Models by name, each answering one request at a time, on the CPU."""

    def __init__(self, models: Mapping[str, ExportedModel]) -> None:
        self.models = models
        self.runners: dict[str, Runner] = {}

    def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ModelReadyResponse(ready=request.name in self.models)

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return messages.ServerMetadataResponse(name="triton", version="0.0.0")

    def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        answer = messages.ModelStatisticsResponse()
        for name in self.models:
            answer.model_stats.add(name=name, version="1")
        return answer

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name not in self.models:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model: {request.name}")
        config = read_config(self.models[request.name].path / "config.pbtxt")
        return messages.ModelConfigResponse(config=config)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        name = request.model_name
        if name not in self.runners:
            self.runners[name] = Runner(self.models[name].pipeline())
        runner = self.runners[name]
        arrays = {
            tensor.name: unpack(data, tensor.datatype, tuple(tensor.shape))
            for tensor, data in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        try:
            sizes = validate(runner.pipeline.inputs, arrays)
            (outcome,) = runner.run([Request(arrays, sizes)]).outcomes
        except NaiadError as error:
            outcome = error
        if isinstance(outcome, NaiadError):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(outcome))
        answer = messages.ModelInferResponse(model_name=name, model_version="1")
        for output, array in outcome.items():
            answer.outputs.add(name=output, datatype=datatype(array), shape=array.shape)
            answer.raw_output_contents.append(pack(array))
        return answer


@contextmanager
def serving(*models: ExportedModel) -> Generator[str]:
    """Run a server with these models; yield its address."""
    served = Served({model.name: model for model in models})
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(1), options=options)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(served, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()
