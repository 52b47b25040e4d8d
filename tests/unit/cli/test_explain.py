"""``naiad explain`` by the health port; on the server's host: tests/e2e/test_observation.py."""

import json
from collections.abc import Iterator

import pytest
from tests.support.history import kept, write
from tests.support.ports import free_ports
from typer.testing import CliRunner

from naiad.cli.main import app
from naiad.control_key import VARIABLE
from naiad.errors import InvalidInput, NotAllowed, Unavailable
from naiad.triton.health import Health, HealthEndpoint
from naiad.triton.history import History

KEY = "the-control-key-of-this-test"


@pytest.fixture
def ring() -> Iterator[History]:
    with kept(4) as ring:
        yield ring


@pytest.fixture
def health(ring: History) -> Iterator[str]:
    endpoint = HealthEndpoint(Health(30), "127.0.0.1", 0)
    endpoint.share(ring, KEY)
    yield f"localhost:{endpoint.port}"
    endpoint.close()


def explain(*arguments: str, fails: type[Exception] | None = None) -> str:
    (port,) = free_ports(1)
    done = CliRunner().invoke(app, ["explain", *arguments, "--url", f"localhost:{port}"])
    if fails is None:
        assert done.exit_code == 0, done.output
        return done.output
    assert type(done.exception) is fails
    return str(done.exception) if fails is not SystemExit else done.output


def test_a_health_port_tells_those_with_the_control_key(
    ring: History, health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(ring, id="a b&c")
    monkeypatch.setenv(VARIABLE, KEY)
    told = explain("a b&c", "--health", health)
    assert "a b&c (#1) to net version 3 arrived at" in told
    assert "batch 7, with 1 other, on worker 1" in told
    (one,) = json.loads(explain("--last", "--json", "--health", f"http://{health}"))
    assert one["id"] == "a b&c"
    for _ in range(2):
        write(ring, id="\x1b[31m")
        assert "\x1b" not in explain("\x1b[31m", "--health", health)
    monkeypatch.setenv(VARIABLE, "another-key-than-that")
    assert "does not take the control key" in explain("a", "--health", health, fails=NotAllowed)


def test_without_a_key_or_over_an_open_network_nothing_is_asked(
    health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = explain("a", "--health", health, fails=NotAllowed)
    assert f"set {VARIABLE}" in said
    monkeypatch.setenv(VARIABLE, KEY)
    said = explain("a", "--health", "gpu1.example.org:8003", fails=NotAllowed)
    assert "kubectl port-forward" in said


def test_one_that_is_not_there_says_how_far_back_the_history_reaches(
    ring: History, health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setattr("naiad.triton.past_requests._PATIENCE", 0)
    assert "no request yet" in explain("a", "--health", health, fails=InvalidInput)
    for name in "abcdef":
        write(ring, id=name)
    said = explain("a", "--health", health, fails=InvalidInput)
    assert "no request a: the server keeps its last 4 requests, the oldest of 20" in said


def test_there_must_be_a_server_and_one_question() -> None:
    assert "no server of this user at" in explain("a", fails=Unavailable)
    assert "REQUEST_ID or --last" in explain(fails=SystemExit)
    assert "REQUEST_ID or --last" in explain("a", "--last", fails=SystemExit)
