import os
import socket
from collections.abc import Iterator

import pytest

from naiad.errors import EngineError
from naiad.triton.ports import choose_ports, free_ports, is_free, owner

HOST = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_free_ports_are_distinct_and_can_be_taken():
    ports = free_ports(HOST, 20)
    assert len(set(ports)) == 20
    assert any(is_free(HOST, port) for port in ports)


def test_wanted_ports_are_kept_and_others_found():
    wanted = free_ports(HOST, 1)[0]
    ports = choose_ports({"HTTP": (HOST, wanted), "gRPC": (HOST, 0), "metrics": (HOST, None)})
    assert ports["HTTP"] == wanted
    assert len(set(ports.values())) == 3


def test_a_port_in_use_is_named_with_its_owner(taken: int):
    assert not is_free(HOST, taken)
    process = owner(taken)
    assert process is not None
    assert process.pid == os.getpid()
    with pytest.raises(
        EngineError, match=f"gRPC port {taken} is in use by .*process {os.getpid()}"
    ):
        choose_ports({"HTTP": (HOST, 0), "gRPC": (HOST, taken)})


def test_the_same_port_twice_is_refused(taken: int):
    port = free_ports(HOST, 1)[0]
    with pytest.raises(EngineError, match=f"port {port} is given twice: HTTP and gRPC"):
        choose_ports({"HTTP": (HOST, port), "gRPC": (HOST, port)})
