"""Small servers in this process that answer and misbehave on request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import numpy as np
from google.protobuf import json_format
from tritonclient.grpc import service_pb2, service_pb2_grpc

messages: Any = service_pb2

CONFIG = {
    "name": "half",
    "max_batch_size": 0,
    "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [-1]}],
}


class Half(service_pb2_grpc.GRPCInferenceServiceServicer):
    """A gRPC server whose only model returns half its input; ``before`` runs first."""

    def __init__(
        self,
        before: Callable[[grpc.ServicerContext], None],
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.before = before
        self.config = CONFIG | {
            "parameters": {k: {"string_value": v} for k, v in (parameters or {}).items()}
        }
        self.calls: list[str] = []
        self.headers: dict[str, Any] = {}
        self.headers_of: dict[str, dict[str, Any]] = {}
        self.ready = True

    def ServerReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.ServerReadyResponse(ready=self.ready)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.ModelReadyResponse(ready=self.ready)

    def ServerMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return messages.ServerMetadataResponse(name="half", version="0.5")

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.calls.append("ModelConfig")
        self.headers = dict(context.invocation_metadata())
        return json_format.ParseDict({"config": self.config}, messages.ModelConfigResponse())

    def RepositoryIndex(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.headers_of["RepositoryIndex"] = dict(context.invocation_metadata())
        answer = messages.RepositoryIndexResponse()
        answer.models.add(name="half", version="1", state="READY")
        return answer

    def RepositoryModelLoad(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.headers_of["RepositoryModelLoad"] = dict(context.invocation_metadata())
        return messages.RepositoryModelLoadResponse()

    def ModelInfer(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.calls.append("ModelInfer")
        self.headers_of["ModelInfer"] = dict(context.invocation_metadata())
        self.before(context)
        sent = request.raw_input_contents[0]
        answer = messages.ModelInferResponse(raw_output_contents=[sent[: len(sent) // 2]])
        answer.outputs.add(name="y", datatype="FP32", shape=[request.inputs[0].shape[0] // 2])
        return answer


@contextmanager
def grpc_server(
    before: Callable[[grpc.ServicerContext], None] = lambda context: None,
    *,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
    parameters: Mapping[str, str] | None = None,
    socket_at: str = "",
    interceptors: Sequence[grpc.ServerInterceptor] = (),
) -> Generator[tuple[str, Half], None, None]:
    """Run a server; yield its address, ``127.0.0.1:port`` or its socket, and itself."""
    half = Half(before, parameters)
    options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(4), interceptors=interceptors, options=options)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(half, server)
    wanted = f"unix:{socket_at}" if socket_at else f"127.0.0.1:{port}"
    bound = (
        server.add_secure_port(wanted, credentials)
        if credentials
        else server.add_insecure_port(wanted)
    )
    server.start()
    try:
        yield wanted if socket_at else f"127.0.0.1:{bound}", half
    finally:
        server.stop(grace=None).wait()


@contextmanager
def http_server(
    answer: Callable[[BaseHTTPRequestHandler, bytes], None], tls: Any = None
) -> Generator[str, None, None]:
    """Run a server that answers by ``answer``; yield its address ``127.0.0.1:port``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self, b"")

        def do_POST(self) -> None:
            answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes | dict[str, Any]) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def http_half() -> Generator[tuple[str]]:
    """Run ``half`` over HTTP; yield the URL, in a tuple as `grpc_server` does."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if not handler.path.endswith("/infer"):
            return reply(handler, 200, CONFIG)
        size = int(handler.headers["Inference-Header-Content-Length"])
        sent = np.frombuffer(body[size:], np.float32)
        y = {"name": "y", "datatype": "FP32", "shape": [len(sent) // 2]}
        data = sent[: len(sent) // 2].tolist()
        return reply(handler, 200, {"model_name": "half", "outputs": [{**y, "data": data}]})

    with http_server(answer) as address:
        yield (f"http://{address}",)
