"""The access log and traces have clients and paths, but no payloads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.collector import collecting
from tests.support.gate import SERVICE, Gate, running
from tests.support.tokens import ISSUER, Issuer, write_jwks

from naiad import otlp
from naiad.gate import GateSettings
from naiad.gate.keys import add_key


def lines(gate: Gate, path: Path, count: int) -> list[dict[str, Any]]:
    gate.until(lambda: path.read_text().count("\n") >= count)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_what_and_how_long_and_no_secret(tmp_path: Path) -> None:
    file, log, issuer = tmp_path / "keys.json", tmp_path / "access.log", Issuer()
    key = add_key(file, "alice", models=("a",))
    jwks = write_jwks(tmp_path / "jwks.json", issuer)
    token = issuer.token(sub='zoe"\n')
    settings = GateSettings(api_keys=file, access_log=log, jwt_issuer=ISSUER, jwt_jwks=str(jwks))
    secret = b"the payload"
    with running(settings) as gate:
        path = "/v2/models/a/versions/1/infer"
        headers = {"x-api-key": key, "x-request-id": "event-7"}
        gate.ask("POST", f"{path}?access_token={key}", secret, headers)
        gate.ask("POST", path, secret, {"x-api-key": "naiad_" + "x" * 43})
        gate.call("ModelInfer", b"\n\1a\x12\x0b" + secret, {"x-api-key": key})
        gate.ask("GET", "/v2/models/a", headers={"authorization": f"Bearer {token}"})
        gate.ask("GET", "/v2/models/%0a%22/x", headers={"x-request-id": '"}\t{'})
        found = lines(gate, log, 5)
    good = found[0]
    assert good["client"] == "alice"
    assert good["model"] == "a"
    assert (good["method"], good["path"], good["status"]) == ("POST", path, 200)
    assert good["received"] == len(secret)
    assert good["sent"] > 0
    assert good["milliseconds"] >= 0
    assert good["peer"] == "127.0.0.1"
    assert good["request_id"] == "event-7"
    assert good["time"].endswith("Z")
    assert (found[1]["client"], found[1]["status"]) == (None, 401)
    assert (found[2]["client"], found[2]["model"], found[2]["grpc_status"]) == ("alice", "a", 0)
    assert found[2]["path"] == SERVICE + "ModelInfer"
    assert found[3]["client"] == 'token zoe"\n'
    text = log.read_text()
    for hidden in (key, "x" * 43, token, secret.decode(), "access_token"):
        assert hidden not in text


@pytest.mark.slow
def test_requests_are_traced_and_the_clients_trace_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    file = tmp_path / "keys.json"
    key = add_key(file, "alice")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20token")
    with (
        collecting() as collector,
        running(GateSettings(api_keys=file), otlp.Collector(collector.url)) as gate,
    ):
        headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "x-api-key": key}
        gate.ask("GET", "/v2", headers=headers)
        below = gate.behind.seen[-1].headers["traceparent"]
        (span, *_) = collector.wait(1, "naiad-gate")
    assert span.trace_id.hex() == trace
    assert span.parent_span_id.hex() == "00f067aa0ba902b7"
    assert below == f"00-{trace}-{span.span_id.hex()}-01"
    assert key not in str(span)
    assert collector.headers[0]["authorization"] == "Bearer token"


def test_trace_headers_pass_where_nothing_is_traced() -> None:
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with running(GateSettings()) as gate:
        gate.ask("GET", "/v2", headers={"traceparent": given})
        assert gate.behind.seen[-1].headers["traceparent"] == given
