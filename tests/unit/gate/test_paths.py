"""The gate leaves only one reading of paths and framings that servers may read differently."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest
from tests.support.gate import SERVICE, Gate, read_answer, running

from naiad.gate import GateSettings, limits
from naiad.gate.keys import add_key


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def key(key_file: Path) -> str:
    return add_key(key_file, "alice", models=("a",))


@pytest.fixture(scope="module")
def gate(key_file: Path, key: str) -> Iterator[Gate]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "CLOSING_SECONDS", 1)  # tests wait for the end of connections
        with running(GateSettings(api_keys=key_file)) as gate:
            yield gate


def raw(gate: Gate, request: bytes) -> bytes:
    """Send some bytes; return the answer until the gate closes or falls silent."""
    found = b""
    with gate.connect() as connection:
        connection.sendall(request)
        connection.settimeout(10)
        # A smuggled request is answered at once; a missing body never.
        with contextlib.suppress(TimeoutError, ConnectionError):
            while chunk := connection.recv(65536):
                found += chunk
                connection.settimeout(0.3)
    return found


ALLOWED = ("/v2/models/a", "/v2/models/a/infer")
TRICKS = [
    "/v2/models/a/../c/infer",
    "/v2/models/a/%2e%2e/c/infer",
    "/v2/models/a/%2E%2E/c/infer",
    "/v2/models/a/.%2e/c/infer",
    "/v2/models/a/..;/c/infer",
    "/v2/models/a/..%2fc/infer",
    "/v2/models/a%2f..%2fc/infer",
    "/v2/models/a%2finfer",
    "/v2/models/a/..\\c\\infer",
    "/v2/models/a%5c..%5cc/infer",
    "/v2/models/a/../../repository/models/a/load",
    "/v2/models/a/../../logging",
    "/v2//models///c//infer",
    "/v2/./models/./c/infer",
    "//v2/models/c/infer",
    "/v2/models/%63/infer",
    "/v2/models/a%00/infer",
    "/v2/models/c?x=/v2/models/a",
    "/v2/models/c#/v2/models/a",
    "/v2/models/c%3f/v2/models/a",
    "/v2/models/c/infer?/../../a",
    "/V2/models/c/infer",
    "/v2/health/ready/../../models/c/infer",
    "/v2/health/ready%2f..%2f..%2fmodels%2fc",
    "/v2/health/ready/",
    "/v2/health/ready;/../../logging",
    "http://a/v2/models/c/infer",
    "/inference.GRPCInferenceService/ServerLive/../ModelInfer",
    "/inference.GRPCInferenceService//ModelStreamInfer",
    "/grpc.health.v1.Health/Check/../../v2/logging",
    "v2/models/c/infer",
    "*",
    "",
]


@pytest.mark.parametrize("path", TRICKS)
def test_no_spelling_of_a_path_passes_a_rule(gate: Gate, key: str, path: str) -> None:
    before = len(gate.behind.seen)
    for given in (f"x-api-key: {key}\r\n", ""):
        text = f"GET {path} HTTP/1.1\r\nHost: a\r\n{given}\r\n"
        with gate.connect() as connection:
            connection.sendall(text.encode("latin-1"))
            status, _ = read_answer(connection)
        assert status in (200, 400, 401, 403, 404, 415)
    for seen in gate.behind.seen[before:]:
        assert seen.path.partition("?")[0] in ALLOWED, path


def test_a_path_is_forwarded_as_it_was_judged(gate: Gate, key: str) -> None:
    headers = {"x-api-key": key}
    for path in ("/v2/models/c/../a", "//v2//models/./a", "/v2/models/a?x=1"):
        assert gate.ask("GET", path, headers=headers).status == 200
        assert gate.behind.seen[-1].path.partition("?")[0] == "/v2/models/a"


def smuggled(key: str) -> dict[str, bytes]:
    hidden = b"GET /v2/logging HTTP/1.1\r\nHost: a\r\n\r\n"
    head = b"POST /v2/models/a/infer HTTP/1.1\r\nHost: a\r\nX-Api-Key: " + key.encode() + b"\r\n"
    chunked = b"0\r\n\r\n" + hidden
    size = b"Content-Length: %d\r\n" % len(chunked)
    return {
        "both": head + size + b"Transfer-Encoding: chunked\r\n\r\n" + chunked,
        "both, turned": head + b"Transfer-Encoding: chunked\r\n" + size + b"\r\n" + chunked,
        "two lengths": head + b"Content-Length: 0\r\n" + size + b"\r\n" + chunked,
        "a list": head + b"Content-Length: 0, %d\r\n\r\n" % len(chunked) + chunked,
        "plus": head + b"Content-Length: +%d\r\n\r\n" % len(chunked) + chunked,
        "negative": head + b"Content-Length: -1\r\n\r\n" + chunked,
        "space": head + b"Transfer-Encoding : chunked\r\n" + size + b"\r\n" + chunked,
        "tab": head + b"Transfer-Encoding:\tchunked\r\n" + size + b"\r\n" + chunked,
        "other coding": head + b"Transfer-Encoding: x, chunked\r\n" + size + b"\r\n" + chunked,
        "twice": head + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n" + chunked,
        "folded": head + b"X: a\r\n Transfer-Encoding: chunked\r\n" + size + b"\r\n" + chunked,
        "bare LF": head + b"X: a\nTransfer-Encoding: chunked\n" + size + b"\r\n" + chunked,
        "NUL": head + b"X: a\0b\r\n" + size + b"\r\n" + chunked,
        "CR": head + b"X: a\rTransfer-Encoding: chunked\r\n" + size + b"\r\n" + chunked,
        "huge chunk": head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n" + hidden,
        "chunk extension": head + b"Transfer-Encoding: chunked\r\n\r\n0;\n\r\nGET\r\n\r\n" + hidden,
        "1.0": head.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + chunked,
        "upgrade": head + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + hidden,
        "h2c": head
        + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        + b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        + hidden,
        "named by connection": head + b"Connection: X-Api-Key\r\n\r\n" + hidden,
    }


@pytest.mark.slow
def test_no_request_is_smuggled_past_the_gate(gate: Gate, key: str) -> None:
    before = len(gate.behind.seen)
    for name, request in smuggled(key).items():
        assert raw(gate, request), name
        for seen in gate.behind.seen[before:]:
            assert seen.path in ALLOWED, name
            assert "transfer-encoding" not in seen.headers, name
            assert "upgrade" not in seen.headers, name
        assert gate.ask("GET", "/v2", headers={"x-api-key": key}).status == 200
        before = len(gate.behind.seen)


@pytest.mark.parametrize(
    "more",
    [
        {"content-length": "5"},  # and no body
        {"transfer-encoding": "chunked"},
        {"connection": "keep-alive"},
        {"x": "a\r\nnaiad-control-key: x"},
        {"x": "a\nb"},
        {":path": "/v2/logging"},
        {":method": "GET"},
        {"Upper": "x"},
    ],
)
def test_http2_headers_that_http1_would_read_otherwise_do_not_pass(
    gate: Gate, key: str, more: dict[str, str]
) -> None:
    before = len(gate.behind.seen)
    loose = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False
    )
    client = h2.connection.H2Connection(loose)
    client.initiate_connection()
    pseudo = {":method": "POST", ":path": "/v2/models/a/infer", ":scheme": "http"}
    first = [*pseudo.items(), (":authority", "a"), ("x-api-key", key)]
    client.send_headers(1, [*first, *more.items()], end_stream=True)
    with gate.connect() as connection:
        connection.sendall(client.data_to_send())
        done = False
        while not done and (data := connection.recv(65536)):
            done = any(
                isinstance(
                    event,
                    h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated,
                )
                for event in client.receive_data(data)
            )
    for seen in gate.behind.seen[before:]:
        assert seen.path in ALLOWED
        assert not {"transfer-encoding", "naiad-control-key"} & seen.headers.keys()
    assert gate.ask("GET", "/v2", headers={"x-api-key": key}).status == 200


def test_a_key_twice_is_no_key(gate: Gate, key: str) -> None:
    head = f"GET /v2 HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n".encode()
    for more, expected in ((b"", 200), (b"X-Api-Key: x\r\n", 401)):
        with gate.connect() as connection:
            connection.sendall(head + more + b"\r\n")
            assert read_answer(connection)[0] == expected


def test_bytes_that_are_no_text_hurt_nobody(gate: Gate, key: str) -> None:
    for value in (b"\xff\xfe", b"caf\xe9", bytes(range(128, 256))):
        head = b"GET /v2/models/a HTTP/1.1\r\nHost: a\r\nX-Api-Key: " + key.encode() + b"\r\n"
        raw(gate, head + b"X-Request-Id: " + value + b"\r\n\r\n")
        raw(gate, b"GET /v2/models/" + value + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert gate.ask("GET", "/v2", headers={"x-api-key": key}).status == 200
    assert not [seen for seen in gate.behind.seen if SERVICE in seen.path]
