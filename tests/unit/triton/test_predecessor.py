"""A restart waits for the server before it, if that is stopping, and for nobody else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from naiad.errors import EngineError
from naiad.triton.health import Health, HealthEndpoint
from naiad.triton.log_entries import LogEvent
from naiad.triton.ports import is_free
from naiad.triton.predecessor import STOPPING, await_predecessor

HOST = "127.0.0.1"


def wait(port: int | None, exit_timeout: float = 60) -> list[str]:
    said: list[LogEvent] = []
    await_predecessor({"health": (HOST, port)}, exit_timeout, said.append)
    return [event.text for event in said]


def test_the_port_of_a_stopping_server_is_awaited() -> None:
    health = Health(patience=30)
    old = HealthEndpoint(health, HOST, 0)
    health.ends("stopping")
    ended = threading.Timer(0.3, old.close)
    ended.start()
    port = old.port
    assert wait(port) == [f"waiting for the server with health port {port} to stop"]
    assert is_free(HOST, port)
    HealthEndpoint(Health(patience=30), HOST, port).close()
    ended.join()


def test_a_server_that_stays_is_not_awaited() -> None:
    health = Health(patience=30)
    health.serving(["a"])
    old = HealthEndpoint(health, HOST, 0)
    try:
        assert wait(old.port) == []
        with pytest.raises(EngineError, match=r"health port .* is in use by"):
            HealthEndpoint(health, HOST, old.port)
    finally:
        old.close()


def test_another_program_is_not_awaited() -> None:
    with socket.create_server((HOST, 0)) as other:
        threading.Thread(target=hang_up, args=[other], daemon=True).start()
        assert wait(other.getsockname()[1]) == []


def hang_up(other: socket.socket) -> None:
    connection, _ = other.accept()
    connection.sendall(b"no HTTP\r\n\r\n")
    connection.close()


def test_the_port_of_a_triton_without_a_parent_is_awaited(tmp_path: Path) -> None:
    (tmp_path / "stopping").touch()
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 0))\n"
    code += "print(s.getsockname()[1], flush=True); time.sleep(0.5)"
    said: list[LogEvent] = []
    triton = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env=os.environ | {STOPPING: str(tmp_path / "stopping")},
    )
    with triton:
        assert triton.stdout is not None
        port = int(triton.stdout.readline())
        await_predecessor({"gRPC": (HOST, port)}, 60, said.append)
        assert is_free(HOST, port)
    assert [event.text for event in said] == [
        f"waiting for the server with gRPC port {port} to stop"
    ]


@pytest.mark.parametrize("port", [None, 0])
def test_any_free_port_needs_no_wait(port: int | None) -> None:
    assert wait(port) == []
