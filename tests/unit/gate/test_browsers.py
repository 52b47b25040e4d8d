"""Pages of other origins, and gRPC-Web, are served only if enabled."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gate import SERVICE, Gate, running

from naiad.gate import GateSettings
from naiad.gate.keys import add_key

ORIGIN = "https://app.example.org"
INFER = "/v2/models/a/infer"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def key(file: Path) -> str:
    return add_key(file, "alice")


@pytest.fixture(scope="module")
def gate(file: Path, key: str) -> Iterator[Gate]:
    with running(GateSettings(api_keys=file, cors=(ORIGIN,), grpc_web=True)) as gate:
        yield gate


@pytest.fixture(scope="module")
def plain(file: Path, key: str) -> Iterator[Gate]:
    with running(GateSettings(api_keys=file)) as gate:
        yield gate


def asks(origin: str) -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key",
    }


def test_a_page_of_a_named_origin_may_ask_with_a_key(gate: Gate, key: str) -> None:
    answer = gate.ask("OPTIONS", INFER, headers=asks(ORIGIN))
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "x-api-key" in answer.headers["access-control-allow-headers"]
    assert gate.behind.seen == []
    answer = gate.ask("POST", INFER, b"x", {"origin": ORIGIN, "x-api-key": key})
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-credentials" not in answer.headers


def test_a_page_may_read_why_it_was_refused(gate: Gate) -> None:
    answer = gate.ask("POST", INFER, b"x", {"origin": ORIGIN})
    assert answer.status == 401
    assert answer.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example.org", "null", f"{ORIGIN}.evil.org", "http://app.example.org", "*"],
)
def test_other_origins_may_not(gate: Gate, origin: str) -> None:
    answer = gate.ask("OPTIONS", INFER, headers=asks(origin))
    assert "access-control-allow-origin" not in answer.headers


def test_without_cors_no_origin_may(plain: Gate, key: str) -> None:
    answer = plain.ask("OPTIONS", INFER, headers=asks(ORIGIN))
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers
    answer = plain.ask("GET", "/v2", headers={"origin": ORIGIN, "x-api-key": key})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text"])
def test_grpc_web_is_grpc_behind_the_gate(gate: Gate, key: str, kind: str) -> None:
    frame = b"\0\0\0\0\x03\n\1a"
    text = kind.endswith("text")
    body = base64.b64encode(frame) if text else frame
    headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1", "x-api-key": key}
    answer = gate.ask("POST", SERVICE + "ModelInfer", body, headers)
    assert answer.status == 200
    found = base64.b64decode(answer.body[: len(body)]) if text else answer.body
    assert found.startswith(frame)
    assert gate.behind.seen[-1].body == b"\n\1a"
    del headers["x-api-key"]
    answer = gate.ask("POST", SERVICE + "ModelInfer", body, headers)
    assert answer.headers["grpc-status"] == "16"


def test_grpc_web_is_refused_where_it_was_not_asked_for(plain: Gate, key: str) -> None:
    headers = {"content-type": "application/grpc-web+proto", "x-api-key": key}
    answer = plain.ask("POST", SERVICE + "ModelInfer", b"\0\0\0\0\0", headers)
    assert answer.status == 415
