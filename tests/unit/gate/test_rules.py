"""Who may do what through the gate, over HTTP and gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tests.support.gate import CONTROL_KEY, SERVICE, Gate, running
from tritonclient.grpc import service_pb2

from naiad.gate import GateSettings, resources
from naiad.gate.keys import add_key
from naiad.gate.resources import script

HTTP_INFER = [
    ("GET", "/v2"),
    ("GET", "/v2/models/a"),
    ("GET", "/v2/models/a/versions/1"),
    ("GET", "/v2/models/a/ready"),
    ("GET", "/v2/models/a/config"),
    ("GET", "/v2/models/a/versions/12/stats"),
    ("GET", "/v2/models/stats"),
    ("POST", "/v2/models/a/infer"),
    ("POST", "/v2/models/a/versions/1/infer"),
    ("POST", "/v2/models/a/generate"),
    ("POST", "/v2/models/a/generate_stream"),
    ("POST", "/v2/repository/index"),
]
HTTP_CONTROL = [
    ("POST", "/v2/repository/models/a/load"),
    ("POST", "/v2/repository/models/a/unload"),
    ("GET", "/v2/logging"),
    ("POST", "/v2/logging"),
    ("POST", "/v2/trace/setting"),
    ("POST", "/v2/models/a/trace/setting"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/systemsharedmemory/region/r/register"),
    ("POST", "/v2/cudasharedmemory/unregister"),
]
NOWHERE = [
    "/",
    "/metrics",
    "/v2/other",
    "/v2/models",
    "/v2/models/a/other",
    "/v2/models/a/versions/x/infer",
    "/v2/models/a/infer/more",
    "/v2/repository/models/a/delete",
    "/v1/models/a:predict",
    "/invocations",
    "/ping",
    "/quitquitquit",
    "/stats/prometheus",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
]
GRPC_INFER = [
    *("ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"),
    *("ModelInfer", "RepositoryIndex"),
]
GRPC_CONTROL = [
    *("RepositoryModelLoad", "RepositoryModelUnload", "TraceSetting", "LogSettings"),
    *("SystemSharedMemoryStatus", "SystemSharedMemoryRegister", "SystemSharedMemoryUnregister"),
    *("CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister"),
]
HEALTH = "/grpc.health.v1.Health/Check"


class Keys:
    def __init__(self, directory: Path) -> None:
        self.file = directory / "keys.json"
        self.infer = add_key(self.file, "alice")
        self.control = add_key(self.file, "bob", ("infer", "control"))
        self.only_control = add_key(self.file, "carol", ("control",))
        self.of_models = add_key(self.file, "dave", models=("a", "b"))
        self.controls_models = add_key(self.file, "erin", ("infer", "control"), models=("a",))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def gate(keys: Keys) -> Iterator[Gate]:
    with running(GateSettings(api_keys=keys.file)) as gate:
        yield gate


@pytest.fixture(scope="module")
def open_gate() -> Iterator[Gate]:
    with running(GateSettings()) as gate:
        yield gate


def sent(gate: Gate) -> int:
    return len(gate.behind.seen)


@pytest.mark.parametrize(("method", "path"), HTTP_INFER)
def test_a_key_that_may_infer_reads_and_infers(
    gate: Gate, keys: Keys, method: str, path: str
) -> None:
    assert gate.ask(method, path, headers={"x-api-key": keys.infer}).status == 200
    seen = gate.behind.seen[-1]
    assert seen.path == path
    # Triton's index is closed to those without the control key; the gate has it.
    expected = CONTROL_KEY if path.startswith("/v2/repository/") else None
    assert seen.headers.get("naiad-control-key") == expected


@pytest.mark.parametrize(("method", "path"), HTTP_CONTROL)
def test_only_a_key_that_may_control_does(gate: Gate, keys: Keys, method: str, path: str) -> None:
    before = sent(gate)
    answer = gate.ask(method, path, headers={"x-api-key": keys.infer})
    assert (answer.status, answer.error) == (
        403,
        "this key may not control models or the server",
    )
    assert sent(gate) == before
    for key in (keys.control, keys.only_control):
        assert gate.ask(method, path, headers={"x-api-key": key}).status == 200
        assert gate.behind.seen[-1].headers["naiad-control-key"] == CONTROL_KEY


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_no_rule_names_is_not_there(
    gate: Gate, keys: Keys, open_gate: Gate, method: str, path: str
) -> None:
    for asked in (gate, open_gate):
        before = sent(asked)
        answer = asked.ask(method, path, headers={"x-api-key": keys.control})
        assert answer.status == 404
        assert "KServe v2" in answer.error
        assert sent(asked) == before


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"]
)
def test_other_methods_are_refused(gate: Gate, keys: Keys, method: str) -> None:
    before = sent(gate)
    status = gate.ask(method, "/v2/models/a/infer", headers={"x-api-key": keys.control}).status
    assert status in (400, 403, 404, 405)
    assert sent(gate) == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "naiad_" + "a" * 43},
        {"x-api-key": "alice"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer naiad_" + "a" * 43},
        {"authorization": "Basic YWxpY2U6YWxpY2U="},
        {"naiad-control-key": "guess"},
        {"naiad-control-key": "x" * 5000},
        {"x-naiad-client": "alice"},
    ],
)
def test_without_a_key_that_is_known_nothing_reaches_the_server(
    gate: Gate, headers: dict[str, str]
) -> None:
    before = sent(gate)
    for method, path in [*HTTP_INFER, *HTTP_CONTROL]:
        answer = gate.ask(method, path, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "API key" in answer.error
    for method in [*GRPC_INFER, *GRPC_CONTROL, "ModelStreamInfer"]:
        code, message = gate.refused(method, metadata=headers)
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "API key" in message
    assert sent(gate) == before


def test_health_needs_no_key(gate: Gate) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert gate.ask("GET", path).status == 200
        assert gate.ask("GET", path, headers={"x-api-key": "wrong"}).status == 200
    for method in ("ServerLive", "ServerReady", HEALTH):
        gate.call(method)


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_a_key_is_taken_from_both_headers_and_goes_no_further(
    gate: Gate, keys: Keys, header: str
) -> None:
    value = keys.infer if header == "x-api-key" else f"Bearer {keys.infer}"
    assert gate.ask("GET", "/v2", headers={header: value}).status == 200
    assert keys.infer not in str(gate.behind.seen[-1])
    gate.call("ServerMetadata", metadata={header: value})
    assert keys.infer not in str(gate.behind.seen[-1])


@pytest.mark.parametrize("method", GRPC_INFER)
def test_a_key_that_may_infer_reads_and_infers_over_grpc(
    gate: Gate, keys: Keys, method: str
) -> None:
    assert gate.call(method, b"\n\1a", {"x-api-key": keys.infer}) == b"\n\1a"
    seen = gate.behind.seen[-1]
    assert seen.path == SERVICE + method
    expected = CONTROL_KEY if method == "RepositoryIndex" else None
    assert seen.headers.get("triton-grpc-protocol-naiad-control-key") == expected
    code, message = gate.refused(method, b"\n\1a", {"x-api-key": keys.only_control})
    assert (code, message) == (grpc.StatusCode.PERMISSION_DENIED, "this key may not infer")


@pytest.mark.parametrize("method", GRPC_CONTROL)
def test_only_a_key_that_may_control_does_over_grpc(gate: Gate, keys: Keys, method: str) -> None:
    before = sent(gate)
    code, message = gate.refused(method, b"", {"x-api-key": keys.infer})
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert message == "this key may not control models or the server"
    assert sent(gate) == before
    gate.call(method, b"", {"x-api-key": keys.control})
    headers = gate.behind.seen[-1].headers
    assert headers["triton-grpc-protocol-naiad-control-key"] == CONTROL_KEY


def test_every_method_of_the_service_has_its_rule() -> None:
    methods = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    open_to_all = ["ServerLive", "ServerReady"]
    assert {*GRPC_INFER, *GRPC_CONTROL, *open_to_all, "ModelStreamInfer"} == {*methods}


@pytest.mark.parametrize("path", [SERVICE + "Other", "/other.Service/ModelInfer", "/"])
def test_a_method_that_no_rule_names_is_unimplemented(gate: Gate, keys: Keys, path: str) -> None:
    before = sent(gate)
    code, _ = gate.refused(path, b"", {"x-api-key": keys.control})
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert sent(gate) == before


def test_a_stream_goes_through(gate: Gate, keys: Keys) -> None:
    with gate.channel() as channel:
        call = channel.stream_stream(SERVICE + "ModelStreamInfer")
        messages = [b"one", b"", b"x" * 1_000_000]
        answers = call(iter(messages), metadata=(("x-api-key", keys.infer),), timeout=20)
        assert list(answers) == messages


@pytest.mark.parametrize("grpc_too", [False, True])
def test_the_control_key_may_do_everything(gate: Gate, open_gate: Gate, grpc_too: bool) -> None:
    for asked in (gate, open_gate):
        if grpc_too:
            metadata = {"triton-grpc-protocol-naiad-control-key": CONTROL_KEY}
            for method in [*GRPC_INFER, *GRPC_CONTROL]:
                asked.call(method, metadata=metadata)
        else:
            for method, path in [*HTTP_INFER, *HTTP_CONTROL]:
                answer = asked.ask(method, path, headers={"naiad-control-key": CONTROL_KEY})
                assert answer.status == 200


def test_a_wrong_control_key_beside_a_right_api_key_does_not_matter(gate: Gate, keys: Keys) -> None:
    # A client sends the one of its environment to whatever server it asks.
    headers = {"naiad-control-key": "of-another-server", "x-api-key": keys.infer}
    assert gate.ask("GET", "/v2", headers=headers).status == 200
    assert "naiad-control-key" not in gate.behind.seen[-1].headers


def test_without_credentials_anyone_infers_and_nobody_controls(open_gate: Gate) -> None:
    for method, path in HTTP_INFER:
        assert open_gate.ask(method, path).status == 200
    for method, path in HTTP_CONTROL:
        answer = open_gate.ask(method, path)
        assert (answer.status, "control key" in answer.error) == (403, True)
    for method in GRPC_INFER:
        open_gate.call(method)
    for method in GRPC_CONTROL:
        code, message = open_gate.refused(method)
        assert (code, "control key" in message) == (grpc.StatusCode.PERMISSION_DENIED, True)


def test_a_key_of_some_models_is_for_no_others(gate: Gate, keys: Keys) -> None:
    headers = {"x-api-key": keys.of_models}
    before = sent(gate)
    for path in ("/v2/models/c", "/v2/models/c/versions/1/infer", "/v2/models/stats"):
        answer = gate.ask("GET", path, headers=headers)
        assert (answer.status, answer.error) == (403, "this key is for models a, b")
    assert gate.ask("POST", "/v2/repository/index", headers=headers).status == 403
    assert sent(gate) == before
    for path in ("/v2", "/v2/models/a", "/v2/models/b/infer"):
        assert gate.ask("GET", path, headers=headers).status == 200


def test_a_key_that_controls_some_models_controls_no_others(gate: Gate, keys: Keys) -> None:
    headers = {"x-api-key": keys.controls_models}
    assert gate.ask("POST", "/v2/repository/models/a/load", headers=headers).status == 200
    assert gate.ask("POST", "/v2/repository/models/b/load", headers=headers).status == 403
    assert gate.ask("POST", "/v2/logging", headers=headers).status == 403
    load = service_pb2.RepositoryModelLoadRequest
    gate.call("RepositoryModelLoad", load(model_name="a").SerializeToString(), headers)
    seen = gate.behind.seen[-1].headers
    assert seen["triton-grpc-protocol-naiad-control-key"] == CONTROL_KEY
    code, message = gate.refused(
        "RepositoryModelLoad", load(model_name="b").SerializeToString(), headers
    )
    assert (code, message) == (grpc.StatusCode.PERMISSION_DENIED, "this key is for models a")


@pytest.mark.parametrize(
    "header", ["naiad-control-key", "triton-grpc-protocol-naiad-control-key", "x-naiad-client"]
)
def test_headers_of_ours_that_a_client_sends_are_taken_off(
    gate: Gate, keys: Keys, header: str
) -> None:
    given = {"x-api-key": keys.infer, header: "mine"}
    gate.ask("GET", "/v2", headers=given)
    assert "mine" not in gate.behind.seen[-1].headers.values()
    gate.call("ServerMetadata", metadata=given)
    assert "mine" not in gate.behind.seen[-1].headers.values()


def test_headers_that_would_steer_the_gate_do_not(gate: Gate, keys: Keys) -> None:
    given = {
        "x-api-key": keys.infer,
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-envoy-retry-on": "5xx",
        "x-envoy-original-path": "/v2/logging",
        "x-envoy-decorator-operation": "x",
    }
    assert gate.ask("GET", "/v2", headers=given).status == 200
    assert not [name for name in gate.behind.seen[-1].headers if "retry" in name]


def test_a_request_id_passes_unchanged(gate: Gate, keys: Keys) -> None:
    for given in ("run-17/event-3", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"):
        answer = gate.ask("GET", "/v2", headers={"x-api-key": keys.infer, "x-request-id": given})
        assert gate.behind.seen[-1].headers["x-request-id"] == given
        assert answer.headers["x-request-id"] == given


def test_a_grpc_path_takes_grpc_only(gate: Gate, keys: Keys) -> None:
    before = sent(gate)
    for kind in ("application/json", "application/grpcx", "application/grpc-web"):
        headers = {"x-api-key": keys.infer, "content-type": kind}
        assert gate.ask("POST", SERVICE + "ServerMetadata", b"", headers).status in (200, 415)
    assert sent(gate) == before


def test_compressed_grpc_messages_are_refused(gate: Gate, keys: Keys) -> None:
    metadata = {"x-api-key": keys.infer}
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        code, message = gate.refused("ModelInfer", b"x" * 1000, metadata, compression=compression)
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert "compressed gRPC messages are not accepted" in message


@pytest.mark.parametrize("failing", ["authorise", "inspect"])
def test_a_script_that_fails_lets_nothing_pass(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def broken(name: str) -> str:
        if name == failing:
            return 'function envoy_on_request(handle) error("broken") end'
        return script(name)

    monkeypatch.setattr(resources, "script", broken)
    with running(GateSettings(api_keys=keys.file)) as gate:
        message = service_pb2.ModelInferRequest(model_name="a").SerializeToString()
        assert gate.refused("ModelInfer", message, {"x-api-key": keys.of_models})
        if failing == "authorise":
            assert gate.ask("GET", "/v2", headers={"x-api-key": keys.control}).status == 503
        assert gate.behind.seen == []
