"""A hostile stranger on the network, with and without the gate: nothing breaks or opens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest
from tests.support.stranger import (
    Answer,
    gzip_bomb,
    half_open,
    nested_json,
    one_byte_chunks,
    request,
    send,
)
from tests.support.triton import FREE, copy_model
from tritonclient.grpc import service_pb2, service_pb2_grpc

from naiad import Client, Server
from naiad.control_key import find_key
from naiad.core.settings import GateSettings
from naiad.errors import NotAllowed
from naiad.gate.keys import add_key
from naiad.triton.supervisor import Supervision

X = np.arange(5, dtype=np.float32)
INFER = "/v2/models/identity/infer"


@dataclass
class Served:
    """A server under attack, which must still answer an innocent client."""

    server: Server
    client: Client
    headers: dict[str, str]

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", int(self.server.http_url.rpartition(":")[2])

    @property
    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.server.grpc_url.removeprefix("grpc://"))

    def processes(self) -> set[int]:
        assert self.server.pid is not None
        reaper = psutil.Process(self.server.pid).parent()
        assert reaper is not None
        pids = {p.pid for p in reaper.children(recursive=True)}
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == "envoy":
                    pids.add(process.pid)
        return pids

    def send(self, *pieces: bytes, **options: object) -> Answer:
        return send(self.address, pieces, **options)  # pyright: ignore[reportArgumentType]

    @contextlib.contextmanager
    def unharmed(self) -> Iterator[None]:
        """Check that no process was replaced and that an innocent request is answered."""
        before = self.processes()
        yield
        assert np.array_equal(self.client.infer("identity", x=X)["y"], X)
        assert self.processes() == before


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("models")
    copy_model(repository, "identity")
    return repository


@pytest.fixture(scope="module")
def plain(repository: Path) -> Iterator[Served]:
    """Serve on loopback, the default of `naiad serve`."""
    with (
        Server(
            repository, **FREE, model_control="explicit", supervision=Supervision(interval=60)
        ) as server,
        Client(server.grpc_url) as client,
    ):
        yield Served(server, client, {})


@pytest.fixture(scope="module")
def gated(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve behind the gate, with a key."""
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    key = add_key(keys, "innocent")
    gate = GateSettings(api_keys=keys, max_request_mb=32)
    with (
        Server(
            repository,
            **FREE,
            model_control="explicit",
            gate=gate,
            supervision=Supervision(interval=60),
        ) as server,
        Client(server.grpc_url, api_key=key) as client,
    ):
        yield Served(server, client, {"x-api-key": key})


@pytest.fixture(params=["plain", "gated"])
def served(request: pytest.FixtureRequest) -> Served:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("path", [INFER, "/v2", "/nowhere", "/v2/repository/index"])
def test_one_byte_chunks_end_no_server(served: Served, path: str):
    with served.unharmed():
        answer = served.send(*one_byte_chunks(path, 1_000_000, served.headers))
    assert answer.status >= 400 or path == "/v2"


def test_thirty_million_chunks_end_no_server_behind_the_gate(gated: Served):
    with gated.unharmed():
        answer = send(gated.address, one_byte_chunks(INFER, 30_000_000, gated.headers))
    assert answer.status in (400, 413, 500)


def test_deeply_nested_json_ends_no_server(served: Served):
    with served.unharmed():
        answer = served.send(*nested_json(INFER, 3_000_000, served.headers))
    assert answer.status >= 400


def test_json_nested_as_deep_as_a_request_may_be_ends_no_server_behind_the_gate(gated: Served):
    with gated.unharmed():
        answer = gated.send(*nested_json(INFER, 31_000_000, gated.headers))
    assert answer.status == 400


@pytest.mark.parametrize("shape", [[10**10], [2**62], [2**31, 2**31], [2**63 - 1], [-1]])
def test_json_tensors_of_absurd_shapes_end_no_server_behind_the_gate(
    gated: Served, shape: list[int]
):
    """Triton allocates a shape's size and, if that overflows, writes the data past it."""
    body = {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": [1.0] * 10}]}
    with gated.unharmed():
        answer = gated.send(request("POST", INFER, json.dumps(body).encode(), gated.headers))
    assert answer.status == 400


def test_a_gzip_bomb_ends_no_server_behind_the_gate(gated: Served):
    with gated.unharmed():
        answer = send(gated.address, list(gzip_bomb(INFER, 256 << 20, gated.headers)))
    assert answer.status == 413
    assert b"larger than 32 MB" in answer.body


def test_shared_memory_cannot_be_registered_without_the_key(served: Served):
    region = json.dumps({"key": "/psm_any", "offset": 0, "byte_size": 64}).encode()
    with served.unharmed():
        for kind in ("systemsharedmemory", "cudasharedmemory"):
            path = f"/v2/{kind}/region/any/register"
            assert served.send(request("POST", path, region, served.headers)).status == 403
            status = served.send(request("GET", f"/v2/{kind}/status", headers=served.headers))
            assert status.status == 403
        message = service_pb2.SystemSharedMemoryRegisterRequest(name="any", key="/psm_any")
        with served.channel as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            with pytest.raises(grpc.RpcError) as refused:
                stub.SystemSharedMemoryRegister(message, metadata=tuple(served.headers.items()))
    assert "restricted" in str(refused.value) or "may not control" in str(refused.value)


def test_models_cannot_be_loaded_without_the_key(served: Served, monkeypatch: pytest.MonkeyPatch):
    config = {"parameters": {"config": "{}", "file:1/model.py": "aW1wb3J0IG9z"}}
    with served.unharmed():
        for verb in ("load", "unload"):
            body = json.dumps(config if verb == "load" else {}).encode()
            path = f"/v2/repository/models/identity/{verb}"
            assert served.send(request("POST", path, body, served.headers)).status == 403
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/nonexistent")
        monkeypatch.setattr("naiad.control_key.key_directory", lambda: Path("/nonexistent"))
        with pytest.raises(NotAllowed):
            served.client.load("identity")


def test_the_servers_own_user_loads_models_without_typing_a_key(served: Served):
    before = served.processes()
    served.client.unload("identity")
    served.client.load("identity")
    assert np.array_equal(served.client.infer("identity", x=X)["y"], X)
    deadline = time.monotonic() + 10
    while len(served.processes()) > len(before):  # the model's old process may still be ending
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_logging_and_trace_cannot_be_changed_without_the_key(served: Served):
    with served.unharmed():
        for path, settings in (
            ("/v2/logging", {"log_verbose_level": 9}),
            ("/v2/trace/setting", {"trace_level": ["TENSORS"]}),
            ("/v2/models/identity/trace/setting", {"trace_level": ["TENSORS"]}),
        ):
            body = json.dumps(settings).encode()
            assert served.send(request("POST", path, body, served.headers)).status == 403
            assert served.send(request("GET", path, headers=served.headers)).status == 403


def test_a_wrong_control_key_opens_nothing(served: Served):
    headers = {**served.headers, "naiad-control-key": "0" * 43}
    assert served.send(request("POST", "/v2/logging", b"{}", headers)).status == 403


def test_the_control_key_is_not_on_the_command_line(served: Served):
    port = served.address[1]
    key = find_key(port)
    assert key is not None
    deadline = time.monotonic() + 10
    while any(key in " ".join(psutil.Process(p).cmdline()) for p in served.processes()):
        assert time.monotonic() < deadline, "another user could read the key"
        time.sleep(0.05)


def test_the_control_key_is_the_same_after_a_restart(tmp_path: Path):
    copy_model(tmp_path, "identity")
    with (
        Server(tmp_path, health_port=0, **FREE) as server,
        Client(server.grpc_url, timeout=120) as client,
    ):
        for _ in range(3):
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while server.pid in (None, pid) or not client.ready():
                time.sleep(0.1)
            assert [model.name for model in client.models()] == ["identity"]


def test_sagemaker_and_vertex_are_off(served: Served):
    ports = {c.laddr.port for c in psutil.Process(served.server.pid).net_connections("tcp")}
    assert 8080 not in ports
    for path in ("/invocations", "/ping", "/models", "/v1/endpoints/1/deployedModels/1:predict"):
        assert served.send(request("POST", path, b"{}", served.headers)).status in (400, 404)


@pytest.mark.parametrize("length", ["-1", "99999999999999999999", "2147483648", "abc", "", "0"])
def test_absurd_header_lengths_are_refused(served: Served, length: str):
    headers = {**served.headers, "Inference-Header-Content-Length": length}
    with served.unharmed():
        assert served.send(request("POST", INFER, b"{}", headers)).status >= 400


def infer() -> service_pb2.ModelInferRequest:
    message = service_pb2.ModelInferRequest(model_name="identity")
    message.inputs.add(name="x", datatype="FP32", shape=[len(X)])
    message.raw_input_contents.append(X.tobytes())
    return message


@pytest.mark.parametrize("shape", [[2**62], [2**61], [2**63 - 1], [2**31, 2**31]])
def test_a_shape_whose_size_overflows_ends_no_python_model(served: Served, shape: list[int]):
    message = service_pb2.ModelInferRequest(model_name="identity")
    message.inputs.add(name="x", datatype="FP32", shape=shape)
    message.raw_input_contents.append(b"")
    with served.unharmed(), served.channel as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ModelInfer(message, metadata=tuple(served.headers.items()), timeout=30)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_cancelled_streams_end_no_server(served: Served):
    metadata = tuple(served.headers.items())
    with served.unharmed(), served.channel as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for number in range(100):
            stream = stub.ModelStreamInfer(iter([infer() for _ in range(8)]), metadata=metadata)
            if number % 2:
                next(stream)
            stream.cancel()


def test_cancelled_calls_lose_no_request_of_others(served: Served):
    """Triton 2.51 has a race here that may end it; clients that retry are answered anyway."""
    metadata = tuple(served.headers.items())
    with served.channel as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for _ in range(200):
            stub.ModelInfer.future(infer(), metadata=metadata).cancel()
            assert np.array_equal(served.client.infer("identity", x=X)["y"], X)


@pytest.mark.parametrize("count", [2**31 - 1, 10**9, -1, 0])
def test_absurd_class_counts_are_refused(served: Served, count: int):
    body = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}],
        "outputs": [{"name": "y", "parameters": {"classification": count}}],
    }
    with served.unharmed():
        answer = served.send(request("POST", INFER, json.dumps(body).encode(), served.headers))
    assert len(answer.body) < 10_000


def test_half_open_connections_do_not_lock_others_out(served: Served):
    with served.unharmed(), half_open(served.address, 1000) as held:
        assert len(held) > 500
        assert np.array_equal(served.client.infer("identity", x=X)["y"], X)
        answer = served.send(request("GET", "/v2/health/live"))
        assert answer.status in (200, 0)  # 0: the gate takes no more connections


def test_requests_without_a_key_are_refused_in_words(gated: Served):
    with gated.unharmed():
        answer = gated.send(request("POST", INFER, b"{}"))
        assert answer.status == 401
        assert b"no API key" in answer.body
        answer = gated.send(request("POST", INFER, b"{}", {"x-api-key": "naiad_" + "x" * 43}))
        assert answer.status == 401
        assert b"unknown" in answer.body
        stranger = Client(gated.server.grpc_url, api_key="naiad_" + "y" * 43)
        with stranger, pytest.raises(NotAllowed, match="unknown"):
            stranger.infer("identity", x=X)


def test_behind_the_gate_nobody_else_on_the_host_reaches_triton(gated: Served):
    triton = psutil.Process(gated.server.pid)
    assert [c for c in triton.net_connections("tcp") if c.status == psutil.CONN_LISTEN] == []
    sockets = {Path(c.laddr) for c in triton.net_connections("unix") if c.laddr}
    own = [path for path in sockets if path.name in ("http", "metrics", "grpc:8001")]
    assert len(own) == 3
    for path in own:
        assert path.parent.stat().st_mode & 0o077 == 0


def test_crashes_by_requests_never_end_the_supervisor(repository: Path):
    """Six of them within ten minutes, where five used to end it for good."""
    policy = Supervision(interval=60, first_pause=0.05, longest_pause=0.2)
    with Server(repository, **FREE, health_port=0, supervision=policy) as server:
        with Client(server.grpc_url) as client:
            for _ in range(6):
                before = server.pid
                _crash(server)
                deadline = time.monotonic() + 60
                while server.pid in (before, None) and time.monotonic() < deadline:
                    time.sleep(0.05)
                assert np.array_equal(client.infer("identity", x=X)["y"], X)
        assert not server.wait(0)


def _crash(server: Server) -> None:
    """End Triton as a hostile request does: by a signal from within."""
    psutil.Process(server.pid).send_signal(11)


def test_a_slow_sender_is_cut_off_behind_the_gate(gated: Served):
    with gated.unharmed():
        began = time.monotonic()
        with socket.create_connection(gated.address, timeout=60) as slow:
            slow.sendall(b"POST /v2/models/identity/infer HTTP/1.1\r\nHost: localhost\r\nX-A: ")
            assert slow.recv(100)[:12] in (b"HTTP/1.1 408", b"")
        assert time.monotonic() - began < 40


def test_an_attack_costs_honest_clients_no_request(gated: Served):
    """Attack with chunks, half-open connections and keyless requests beside four honest clients."""
    stop = threading.Event()

    def repeat(attack: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    attack()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def wait_half_open() -> None:
        with half_open(gated.address, 200):
            stop.wait(1)

    bad_id = json.dumps({"id": "caf\u00e9" * 1000, "inputs": []}).encode("latin-1")
    wrong: list[object] = []

    def honest() -> None:
        for number in range(300):
            x = np.full(4, number, np.float32)
            try:
                if not np.array_equal(gated.client.infer("identity", x=x)["y"], x):
                    wrong.append(number)
            except Exception as error:
                wrong.append(error)

    with gated.unharmed():
        attackers = [
            repeat(lambda: gated.send(*one_byte_chunks(INFER, 100_000, gated.headers))),
            repeat(lambda: gated.send(request("POST", INFER, bad_id, gated.headers))),
            repeat(lambda: gated.send(request("POST", INFER, b"{}"))),
            repeat(wait_half_open),
        ]
        clients = [threading.Thread(target=honest) for _ in range(4)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        stop.set()
        for one in attackers:
            one.join(60)
    assert wrong == []


def test_with_a_certificate_nothing_is_answered_without_tls(repository: Path, tmp_path: Path):
    from naiad.gate.certificates import make_certificate

    certificate, private_key = make_certificate(["localhost", "127.0.0.1"], tmp_path, days=2)
    gate = GateSettings(tls_cert=certificate, tls_key=private_key, insecure=True)
    with Server(repository, **FREE, host="0.0.0.0", gate=gate) as server:
        address = ("127.0.0.1", int(server.http_url.rpartition(":")[2]))
        assert send(address, [request("GET", "/v2/health/live")]).status == 0
        context = ssl.create_default_context(cafile=str(certificate))
        assert send(address, [request("GET", "/v2/health/live")], tls=context).status == 200
        with Client(server.grpc_url, ca=certificate) as client:
            assert np.array_equal(client.infer("identity", x=X)["y"], X)
        with Client(server.http_url, ca=certificate) as client:
            assert np.array_equal(client.infer("identity", x=X)["y"], X)
