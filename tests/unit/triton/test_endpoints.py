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


def test_models_are_probed_over_http_where_grpc_has_tls() -> None:
    ports = {"HTTP": 8000, "gRPC": 8001, "metrics": 8002}
    assert Endpoints("127.0.0.1", ports).probe_url == "127.0.0.1:8001"
    assert Endpoints("127.0.0.1", ports, grpc_tls=True).probe_url == "http://127.0.0.1:8000"
