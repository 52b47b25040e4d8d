import http.client
import json
from collections.abc import Iterator

import pytest

from naiad.errors import EngineError, NaiadError, Unavailable
from naiad.triton.health import Health, HealthEndpoint


@pytest.fixture
def health() -> Health:
    return Health(patience=30)


@pytest.fixture
def endpoint(health: Health) -> Iterator[HealthEndpoint]:
    endpoint = HealthEndpoint(health, "127.0.0.1", 0)
    yield endpoint
    endpoint.close()


def get(endpoint: HealthEndpoint, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_a_server_that_starts_is_live_and_not_ready(health: Health):
    assert health.live()
    assert health.report() == {
        "ready": False,
        "state": "starting",
        "reason": "",
        "restarts": 0,
        "models": {},
    }


def test_a_server_is_ready_when_every_model_answers(health: Health):
    health.serving(["a", "b"], now=100)
    assert health.report(now=101)["ready"]
    health.found("b", "no answer", now=102)
    report = health.report(now=103.04)
    assert not report["ready"]
    assert report["models"] == {
        "a": {"ready": True, "reason": "", "age": 3.0},
        "b": {"ready": False, "reason": "no answer", "age": 1.0},
    }
    health.found("b", "", now=104)
    assert health.report(now=104)["ready"]
    assert health.live()


def test_an_answer_of_long_ago_is_no_evidence(health: Health):
    health.serving(["a"], now=100)
    assert health.report(now=130)["ready"]
    report = health.report(now=131)
    assert not report["ready"]
    assert report["models"]["a"]["reason"] == "it last answered 31 s ago"


def test_no_model_is_ready_while_the_server_restarts_and_that_is_counted(health: Health):
    health.serving(["a"], now=100)
    health.restarting("a died")
    report = health.report(now=100)
    assert (report["ready"], report["state"], report["reason"]) == (False, "restarting", "a died")
    assert report["models"]["a"]["reason"] == "the server is restarting"
    assert health.live()
    health.serving(["a"], now=105)
    report = health.report(now=105)
    assert (report["ready"], report["reason"], report["restarts"]) == (True, "", 1)


def test_a_server_that_stops_is_live_and_one_given_up_is_not(health: Health):
    health.serving(["a"])
    health.ends("stopping")
    assert health.live()
    assert not health.report()["ready"]
    health.ends("failed", "given up")
    assert not health.live()


def test_the_endpoint_says_200_or_503_with_the_report(health: Health, endpoint: HealthEndpoint):
    status, body = get(endpoint, "/readyz")
    assert (status, json.loads(body)["state"]) == (503, "starting")
    assert get(endpoint, "/livez")[0] == 200
    health.serving(["a"])
    status, body = get(endpoint, "/readyz")
    assert (status, list(json.loads(body)["models"])) == (200, ["a"])
    health.ends("failed", "given up")
    status, body = get(endpoint, "/livez")
    expected = {"live": False, "state": "failed", "reason": "given up"}
    assert (status, json.loads(body)) == (503, expected)


def test_the_endpoint_knows_two_paths_and_head(endpoint: HealthEndpoint):
    assert get(endpoint, "/")[0] == 404
    assert get(endpoint, "/livez", "HEAD") == (200, "")


def test_the_document_of_the_models_is_beside_the_health(health: Health):
    found: list[dict[str, str] | NaiadError] = [{"openapi": "3.1.0"}, Unavailable("it restarts")]

    def document() -> dict[str, str]:
        one = found.pop(0)
        if isinstance(one, NaiadError):
            raise one
        return one

    endpoint = HealthEndpoint(health, "127.0.0.1", 0, document)
    try:
        status, body = get(endpoint, "/openapi.json")
        assert (status, json.loads(body)) == (200, {"openapi": "3.1.0"})
        status, body = get(endpoint, "/openapi.json")
        assert (status, json.loads(body)) == (503, {"error": "it restarts"})
    finally:
        endpoint.close()


def test_a_health_port_in_use_is_named(health: Health, endpoint: HealthEndpoint):
    with pytest.raises(EngineError, match=f"health port {endpoint.port} is in use"):
        HealthEndpoint(health, "127.0.0.1", endpoint.port)
