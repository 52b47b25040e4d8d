from pathlib import Path

import pytest

from naiad.triton.endpoints import Endpoints, TritonSockets

PORTS = {"HTTP": 1, "gRPC": 2, "metrics": 3}


@pytest.mark.parametrize(
    ("host", "reachable"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("10.1.2.3", "10.1.2.3"),
    ],
)
def test_urls_are_those_a_client_on_this_machine_can_use(host: str, reachable: str):
    endpoints = Endpoints(host, PORTS)
    assert endpoints.grpc_url == f"{reachable}:2"
    assert endpoints.http_url == f"http://{reachable}:1"
    assert endpoints.metrics_url == f"http://{reachable}:3/metrics"


def test_the_server_asks_itself_over_http_where_grpc_has_tls() -> None:
    assert Endpoints("127.0.0.1", PORTS).own_url == "127.0.0.1:2"
    encrypted = Endpoints("127.0.0.1", PORTS, grpc_tls=True)
    assert encrypted.own_url == "http://127.0.0.1:1"
    assert encrypted.grpc_url == "grpcs://127.0.0.1:2"


def test_behind_a_gate_the_server_asks_triton_itself() -> None:
    gated = Endpoints("0.0.0.0", PORTS, gate_tls=True, sockets=TritonSockets(Path("/run/triton")))
    assert gated.own_url == "unix:/run/triton/grpc:8001"
    assert gated.grpc_url == "grpcs://127.0.0.1:2"
    assert gated.http_url == "https://127.0.0.1:1"


def test_a_socket_takes_the_place_of_ports() -> None:
    socket = Endpoints("127.0.0.1", {"metrics": 3}, public_socket=Path("/run/naiad.sock"))
    assert socket.grpc_url == "unix:/run/naiad.sock"
    assert socket.http_url == ""
