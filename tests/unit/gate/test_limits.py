"""How much one client may send, how slowly, and how often."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from tests.support.gate import SERVICE, Gate, eventually, read_answer, running

from naiad.gate import GateSettings, limits
from naiad.gate.keys import add_key

INFER = "/v2/models/a/infer"
RAW = {"inference-header-content-length": "0"}  # a body that is one tensor, and no JSON
MB = 1_000_000


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "CLOSING_SECONDS", 1)  # tests wait for the end of connections
        with running(GateSettings(max_request_mb=20)) as gate:
            yield gate


def test_a_request_as_large_as_may_be_goes_through(gate: Gate) -> None:
    body = b"\0" * 20 * MB
    assert json.loads(gate.ask("POST", INFER, body, RAW).body)["length"] == len(body)
    largest = 20 * MB - 5  # gRPC puts five bytes before a message
    assert len(gate.call("ModelInfer", b"\0" * largest)) == largest


def test_a_larger_one_is_refused_over_http_and_grpc(gate: Gate) -> None:
    before = len(gate.behind.seen)
    with gate.connect() as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
            % (INFER.encode(), 20 * MB + 1)
        )
        connection.sendall(b"\0" * (20 * MB + 1))
        status, body = read_answer(connection)
    assert status == 413
    assert json.loads(body)["error"] == "the request is larger than 20 MB (10**6 bytes)"
    code, message = gate.refused("ModelInfer", b"\0" * 20 * MB)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "the request is larger than 20 MB (10**6 bytes)"
    assert len(gate.behind.seen) == before


def test_ten_million_chunks_of_a_byte_arrive_as_one_body(gate: Gate) -> None:
    with gate.connect(timeout=120) as connection:
        head = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head % INFER.encode())
        part = b"1\r\n0\r\n" * 100_000
        for _ in range(100):
            connection.sendall(part)
        connection.sendall(b"0\r\n\r\n")
        connection.settimeout(60)
        status, body = read_answer(connection)
    assert status == 200
    assert json.loads(body)["length"] == 10_000_000
    headers = gate.behind.seen[-1].headers
    assert headers["content-length"] == "10000000"
    assert "transfer-encoding" not in headers


def test_a_gzip_body_arrives_inflated(gate: Gate) -> None:
    for plain in (b"x" * 1000, b"\0" * 19 * MB, b""):
        answer = gate.ask("POST", INFER, gzip.compress(plain), {"content-encoding": "gzip", **RAW})
        assert json.loads(answer.body)["length"] == len(plain)
        seen = gate.behind.seen[-1]
        assert seen.body == plain
        assert "content-encoding" not in seen.headers


def test_a_gzip_bomb_is_refused_and_costs_little_memory(gate: Gate) -> None:
    before = len(gate.behind.seen)
    compress = zlib.compressobj(9, wbits=31)
    head = compress.compress(b"") + compress.flush(zlib.Z_FULL_FLUSH)
    # A block that can be repeated: 2 GB of zeros in 2 MB.
    block = compress.compress(b"\0" * 20 * MB) + compress.flush(zlib.Z_FULL_FLUSH)
    bomb = head + block * 100
    largest = 0
    process = psutil.Process(gate.process.pid)
    for _ in range(3):
        with gate.connect() as connection:
            connection.sendall(
                b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n" % INFER.encode()
                + b"Content-Length: %d\r\n\r\n" % len(bomb)
            )
            with contextlib.suppress(OSError):  # refused before it was all there
                connection.sendall(bomb)
            status, _ = read_answer(connection)
            assert status in (413, 0)
            largest = max(largest, process.memory_info().rss)
    assert largest < 600 * MB
    assert len(gate.behind.seen) == before
    assert gate.ask("GET", "/v2").status == 200


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, gzip", "GZIP", "identity, gzip", "x"])
def test_other_encodings_are_refused(gate: Gate, encoding: str) -> None:
    before = len(gate.behind.seen)
    answer = gate.ask("POST", INFER, b"x", {"content-encoding": encoding})
    assert (answer.status, answer.error) == (415, "content-encoding must be gzip or identity")
    assert len(gate.behind.seen) == before


def test_a_body_that_is_not_gzip_hurts_nobody(gate: Gate) -> None:
    good = gzip.compress(b"x" * 100_000)
    for body in (b"not gzip", good[:50], good[:-4] + b"\0\0\0\0", b"\x1f\x8b"):
        gate.ask("POST", INFER, body, {"content-encoding": "gzip"})
    assert gate.ask("GET", "/v2").status == 200


def test_headers_beyond_the_bound_are_refused(gate: Gate) -> None:
    before = len(gate.behind.seen)
    assert gate.ask("GET", "/v2", headers={"a": "x" * (limits.HEADERS_KB << 10)}).status == 431
    many = {f"a{index}": "x" for index in range(limits.HEADERS_COUNT + 1)}
    assert gate.ask("GET", "/v2", headers=many).status in (400, 431)
    assert len(gate.behind.seen) == before


def test_a_message_of_a_stream_is_bounded_too(gate: Gate) -> None:
    with gate.channel() as channel:
        stream = channel.stream_stream(SERVICE + "ModelStreamInfer")
        answers = stream(iter([b"x" * 100, b"x" * (20 * MB + 1)]), timeout=30)
        assert next(answers) == b"x" * 100
        with pytest.raises(grpc.RpcError):
            next(answers)
    assert gate.behind.seen[-1].body == b"x" * 100
    # Altogether a stream may have more than a request may.
    with gate.channel() as channel:
        stream = channel.stream_stream(SERVICE + "ModelStreamInfer")
        sizes = [len(answer) for answer in stream(iter([b"x" * 15 * MB] * 3), timeout=60)]
    assert sizes == [15 * MB] * 3


def test_a_compressed_message_of_a_stream_is_refused(gate: Gate) -> None:
    before = len(gate.behind.seen)
    with gate.channel() as channel:
        stream = channel.stream_stream(SERVICE + "ModelStreamInfer")
        answers = stream(iter([b"x" * 1000]), timeout=30, compression=grpc.Compression.Gzip)
        with pytest.raises(grpc.RpcError) as caught:
            next(answers)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert len(gate.behind.seen) == before


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr(limits, "REQUEST_HEADERS_SECONDS", 1)
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 1)
    monkeypatch.setattr(limits, "FIRST_BYTES_SECONDS", 1)
    monkeypatch.setattr(limits, "CLOSING_SECONDS", 1)
    monkeypatch.setattr(limits, "IDLE_CONNECTION_SECONDS", 1)
    with running(GateSettings()) as gate:
        yield gate


def drip(connection: socket.socket, seconds: float) -> bytes:
    """Send a byte now and then, until an answer or the end of the connection."""
    connection.settimeout(0.2)
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"a")
                return connection.recv(65536)
        raise AssertionError("it was never cut off")
    return b""


@pytest.mark.slow
def test_slow_senders_are_cut_off(impatient: Gate) -> None:
    with impatient.connect() as connection:  # of headers
        connection.sendall(b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: ")
        assert not drip(connection, 20).startswith(b"HTTP/1.1 200")
    with impatient.connect() as connection:  # of a body
        head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head % INFER.encode())
        answer = drip(connection, 20)
        assert b" 408 " in answer.split(b"\r\n")[0]
    with impatient.connect() as connection:  # of nothing
        connection.settimeout(20)
        assert connection.recv(1) == b""
    with impatient.connect() as connection:  # of nothing more
        connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(connection)[0] == 200
        connection.settimeout(20)
        assert connection.recv(1) == b""
    assert {seen.path for seen in impatient.behind.seen} == {"/v2/health/live"}


@pytest.mark.slow
def test_slow_answers_and_streams_are_not_cut_off(impatient: Gate) -> None:
    impatient.behind.before = lambda: time.sleep(1.5)
    assert impatient.ask("POST", INFER, b"x").status == 200
    impatient.call("ModelInfer", b"x")

    def slowly() -> Iterator[bytes]:
        time.sleep(1.5)  # before its first message, too
        for _ in range(3):
            yield b"x"
            time.sleep(0.6)

    with impatient.channel() as channel:
        stream = channel.stream_stream(SERVICE + "ModelStreamInfer")
        assert list(stream(slowly(), timeout=30)) == [b"x"] * 3


@pytest.mark.slow
def test_connections_beyond_the_bound_are_closed_and_later_ones_served() -> None:
    with running(GateSettings(max_connections=20)) as gate:
        held = [gate.connect() for _ in range(40)]

        def closed(connection: socket.socket) -> bool:
            connection.settimeout(0.2)
            try:
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        assert sum(closed(connection) for connection in held) >= 20
        for connection in held:
            connection.close()

        def answers() -> bool:
            try:
                return gate.ask("GET", "/v2").status == 200
            except OSError:
                return False

        assert eventually(answers)


@pytest.mark.slow
def test_clients_that_hold_memory_give_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "heap_bytes", lambda most: 200 * MB)
    monkeypatch.setattr(limits, "UNDER_PRESSURE_SECONDS", 1)
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    with running(GateSettings(max_request_mb=50)) as gate, contextlib.ExitStack() as stack:
        process = psutil.Process(gate.process.pid)
        idle = process.memory_info().rss
        for _ in range(10):  # each would have 49 MB of the gate's memory, and never ends
            connection = stack.enter_context(gate.connect())
            with contextlib.suppress(OSError):
                connection.sendall(head % (INFER.encode(), 50 * MB) + b"\0" * 49 * MB)
            assert process.memory_info().rss - idle < 400 * MB
            assert eventually(lambda: gate.ask("GET", "/v2").status == 200)
        go_on = threading.Event()

        def never_ends() -> Iterator[bytes]:
            yield b"x" * 49 * MB
            go_on.wait()

        with gate.channel() as channel:
            held = [
                channel.stream_unary(SERVICE + "ModelInfer").future(never_ends(), timeout=60)
                for _ in range(10)
            ]
            assert eventually(lambda: any(call.done() for call in held))
            gate.until(lambda: gate.ask("GET", "/v2").status == 200)
            go_on.set()
        assert process.memory_info().rss - idle < 400 * MB


def test_a_key_has_its_rate_and_others_do_not_share_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    slow, quick = add_key(file, "slow", rate="3/h"), add_key(file, "quick")
    with running(GateSettings(api_keys=file)) as gate:
        statuses = [gate.ask("GET", "/v2", headers={"x-api-key": slow}).status for _ in range(6)]
        assert statuses == [200] * 3 + [429] * 3
        answer = gate.ask("GET", "/v2", headers={"x-api-key": slow})
        assert answer.error == "this key has reached its rate limit; try again later"
        for _ in range(3):
            gate.call("ServerMetadata", metadata={"x-api-key": slow})  # counted apart
        code, message = gate.refused("ServerMetadata", metadata={"x-api-key": slow})
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert message == "this key has reached its rate limit; try again later"
        for _ in range(20):
            assert gate.ask("GET", "/v2", headers={"x-api-key": quick}).status == 200


def test_a_server_that_is_down_is_unavailable() -> None:
    with running(GateSettings()) as gate:
        gate.behind.close()
        gate.behind.upstream.http.unlink(missing_ok=True)
        answer = gate.ask("GET", "/v2")
        assert (answer.status, "Triton does not answer" in answer.error) == (503, True)
        code, message = gate.refused("ServerMetadata")
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "Triton does not answer" in message


@pytest.mark.slow
def test_frames_of_http2_that_ask_for_much_and_give_nothing_end_their_connection(
    gate: Gate,
) -> None:
    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return (
            struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload
        )

    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
    floods = {
        "pings": frame(6, 0, 0, b"\0" * 8),
        "settings": frame(4, 0, 0),
        "empty data": frame(0, 0, 1),
        "continuations": frame(9, 0, 1, b"\0" * 16),
    }
    begin = frame(1, 0, 1, b"\x83\x86\x44\x03/v2\x41\x01a")  # HEADERS that go on
    for name, one in floods.items():
        with gate.connect() as connection:
            first = begin if name in ("empty data", "continuations") else b""
            connection.settimeout(20)
            # A flood that is borne ends in a TimeoutError.
            with contextlib.suppress(ConnectionError):
                connection.sendall(preface + first)
                for _ in range(300):
                    connection.sendall(one * 1000)
                while connection.recv(65536):
                    pass
        assert gate.ask("GET", "/v2").status == 200
