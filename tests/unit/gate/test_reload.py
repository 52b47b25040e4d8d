"""Keys and certificates that change while the gate runs: in force at once, nobody cut off."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tests.support.gate import SERVICE, Gate, running

from naiad.gate import GateSettings, state
from naiad.gate.certificates import make_certificate
from naiad.gate.keys import add_key, read_keys, remove_key


def status(gate: Gate, key: str) -> Callable[[], int]:
    return lambda: gate.ask("GET", "/v2", headers={"x-api-key": key}).status


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_that_is_added_or_removed_counts_within_two_seconds(file: Path) -> None:
    alice = add_key(file, "alice")
    with running(GateSettings(api_keys=file)) as gate:
        assert gate.refresh() == []
        bob = add_key(file, "bob")
        assert status(gate, bob)() == 401
        assert gate.refresh() == [f"{file} changed and is in force"]
        gate.until(lambda: status(gate, bob)() == 200, within=2)
        remove_key(file, "alice")
        gate.refresh()
        gate.until(lambda: status(gate, alice)() == 401, within=2)
        assert status(gate, bob)() == 200


def test_removing_the_last_key_leaves_nobody_in(file: Path) -> None:
    alice = add_key(file, "alice")
    with running(GateSettings(api_keys=file)) as gate:
        remove_key(file, "alice")
        gate.refresh()
        gate.until(lambda: status(gate, alice)() == 401, within=2)


def test_changing_keys_drops_no_connection_and_no_request(file: Path) -> None:
    alice = add_key(file, "alice")
    with running(GateSettings(api_keys=file)) as gate:
        stop, failures, answered = threading.Event(), list[object](), [0, 0]

        def ask_http() -> None:
            connection = gate.connection()
            connection.connect()
            first = connection.sock.getsockname()
            while not stop.is_set():
                connection.request("GET", "/v2", headers={"x-api-key": alice})
                reply = connection.getresponse()
                reply.read()
                answered[0] += 1
                if reply.status != 200 or connection.sock.getsockname() != first:
                    failures.append(reply.status)
            connection.close()

        def ask_grpc() -> None:
            with gate.channel() as channel:
                call = channel.unary_unary(SERVICE + "ServerMetadata")
                try:
                    while not stop.is_set():
                        call(b"", metadata=(("x-api-key", alice),), timeout=20)
                        answered[1] += 1
                except grpc.RpcError as error:
                    failures.append(error)

        with gate.channel() as channel:
            stream = channel.stream_stream(SERVICE + "ModelStreamInfer")
            go_on = threading.Semaphore(1)

            def messages() -> object:
                for _ in range(2):
                    go_on.acquire()
                    yield b"x"

            answers = stream(messages(), metadata=(("x-api-key", alice),), timeout=60)
            assert next(answers) == b"x"
            threads = [threading.Thread(target=each) for each in (ask_http, ask_grpc)]
            for thread in threads:
                thread.start()
            try:
                for index in range(5):
                    key = add_key(file, f"new-{index}")
                    gate.refresh()
                    gate.until(lambda key=key: status(gate, key)() == 200)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            go_on.release()
            assert next(answers) == b"x"
        assert failures == []
        assert min(answered) > 10


@pytest.mark.parametrize(
    "damage", ["", "{", '{"keys": 1}', '{"keys": [{"name": "x"}]}', "\0", "gone"]
)
def test_a_file_that_is_damaged_leaves_the_old_keys_in_force(file: Path, damage: str) -> None:
    alice = add_key(file, "alice")
    with running(GateSettings(api_keys=file)) as gate:
        if damage == "gone":
            file.unlink()
        else:
            file.write_text(damage)
        (message,) = gate.refresh()
        assert str(file) in message
        assert "the previous content stays in force" in message
        assert gate.refresh() == [], "it is said once"
        assert status(gate, alice)() == 200
        file.unlink(missing_ok=True)
        bob = add_key(file, "bob")
        gate.refresh()
        gate.until(lambda: status(gate, bob)() == 200)
        assert status(gate, alice)() == 401


def test_what_the_gate_keeps_is_for_its_user_alone(file: Path, tmp_path: Path) -> None:
    key = add_key(file, "alice")
    assert file.stat().st_mode & 0o777 == 0o600
    assert key not in file.read_text()
    chain, private = make_certificate(["localhost"], tmp_path, 1)
    with running(GateSettings(api_keys=file, tls_cert=chain, tls_key=private)) as gate:
        assert gate.directory.stat().st_mode & 0o777 == 0o700
        for path in gate.directory.iterdir():
            if not path.is_socket():
                assert path.stat().st_mode & 0o077 == 0, path
            if path.is_file():
                assert key not in path.read_text()
        assert state(gate.directory) == "LIVE"


def trusting(chain: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(chain))
    context.check_hostname = False
    return context


def serial(gate: Gate) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", gate.port), 20) as plain,
        context.wrap_socket(plain) as connection,
    ):
        found = connection.getpeercert(binary_form=True)
        assert found
        return ssl.DER_cert_to_PEM_cert(found)


def test_a_certificate_that_is_renewed_is_shown_and_open_connections_go_on(tmp_path: Path) -> None:
    old = make_certificate(["localhost"], tmp_path / "old", 1)
    new = make_certificate(["localhost"], tmp_path / "new", 1)
    files = tmp_path / "cert.pem", tmp_path / "key.pem"

    def put(pair: tuple[Path, ...]) -> None:
        for source, target in zip(pair, files, strict=True):
            draft = target.with_suffix(".new")
            draft.write_bytes(source.read_bytes())
            os.replace(draft, target)  # noqa: PTH105

    put(old)
    with running(GateSettings(tls_cert=files[0], tls_key=files[1])) as gate:
        assert serial(gate) == old[0].read_text()
        connection = gate.connection(trusting(old[0]))
        connection.request("GET", "/v2")
        connection.getresponse().read()
        first = connection.sock.getsockname()

        files[0].write_bytes(new[0].read_bytes())  # its key is still the old one
        assert "does not match the certificate" in gate.refresh()[0]
        assert serial(gate) == old[0].read_text()
        put(new)
        assert "is in force" in gate.refresh()[0]
        gate.until(lambda: serial(gate) == new[0].read_text(), within=2)
        assert gate.ask("GET", "/v2", context=trusting(new[0])).status == 200

        connection.request("GET", "/v2")
        assert connection.getresponse().status == 200
        assert connection.sock.getsockname() == first
        connection.close()


def test_the_file_says_who_may_what(file: Path) -> None:
    add_key(file, "alice", models=("a",), rate="50/s")
    (key,) = read_keys(file)
    found = json.loads(file.read_text())["keys"][0]
    assert found == {
        "name": "alice",
        "sha256": key.sha256,
        "may": ["infer"],
        "models": ["a"],
        "rate": "50/s",
        "created": key.created,
    }
