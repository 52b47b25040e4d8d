import pytest

from naiad.triton.endpoints import Endpoints

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
