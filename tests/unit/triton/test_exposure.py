"""Other machines reach a server only through the gate, and only with a credential."""

from pathlib import Path

import pytest

from naiad.control_key import VARIABLE, find_key
from naiad.core.settings import GateSettings, ServeSettings
from naiad.errors import EngineError
from naiad.server_card import url_of
from naiad.triton.exposure import Exposure
from naiad.triton.log_entries import LogEvent

FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}


def exposure(host: str = "127.0.0.1", gate: GateSettings | None = None, **hosts: str) -> Exposure:
    hosts = {f"{use}_host": address for use, address in hosts.items()}
    return Exposure(ServeSettings(host=host, gate=gate, **FREE, **hosts))


def test_on_loopback_triton_itself_listens(tmp_path: Path):
    loopback = exposure()
    loopback.check()
    endpoints = loopback.endpoints(tmp_path, "key", grpc_tls=False)
    assert (loopback.gate, endpoints.sockets) == (None, None)
    assert set(endpoints.ports) == {"HTTP", "gRPC", "metrics"}


def test_beyond_loopback_a_server_without_credentials_is_refused_with_the_way_out():
    with pytest.raises(EngineError) as caught:
        exposure("0.0.0.0").check()
    for remedy in ("naiad gate key add", "--api-keys", "--tls-cert", "--insecure", "--socket"):
        assert remedy in str(caught.value)
    exposure("0.0.0.0", GateSettings(insecure=True)).check()


def test_behind_the_gate_triton_has_sockets_and_metrics_stay_on_loopback(tmp_path: Path):
    exposed = exposure("0.0.0.0", GateSettings(insecure=True))
    exposed.check()
    endpoints = exposed.endpoints(tmp_path, "key", grpc_tls=False)
    assert endpoints.sockets is not None
    assert endpoints.sockets.directory.parent == tmp_path
    assert endpoints.metrics_address == exposed.health_address == "127.0.0.1"


def test_metrics_and_health_leave_loopback_where_they_are_asked_to():
    exposed = exposure("0.0.0.0", GateSettings(insecure=True), health="0.0.0.0")
    exposed.check()
    assert exposed.health_address == "0.0.0.0"


@pytest.mark.parametrize(
    ("health", "metrics", "shared"),
    [("", "", True), ("0.0.0.0", "", False), ("", "0.0.0.0", True), ("0.0.0.0", "0.0.0.0", True)],
)
def test_the_health_port_has_the_metrics_unless_it_reaches_further_than_theirs(
    health: str, metrics: str, shared: bool
):
    exposed = exposure("0.0.0.0", GateSettings(insecure=True), health=health, metrics=metrics)
    exposed.check()
    assert exposed.shares_metrics == shared


def test_a_socket_takes_no_port_but_that_of_the_metrics(tmp_path: Path):
    private = exposure(gate=GateSettings(socket=tmp_path / "naiad.sock"))
    private.check()
    assert set(private.endpoints(tmp_path, "key", grpc_tls=False).ports) == {"metrics"}


def test_the_control_key_is_found_at_every_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    gated = exposure(gate=GateSettings(port=0))
    gated.check()
    endpoints = gated.endpoints(tmp_path, "the-control-key", grpc_tls=False)
    assert set(endpoints.ports) == {"HTTP", "gRPC", "metrics", "gate"}
    events: list[LogEvent] = []
    assert endpoints.sockets is not None
    endpoints.sockets.make_room()
    gated.publish(endpoints, events.append)
    assert events == []
    places = [port for use, port in endpoints.ports.items() if use != "metrics"]
    assert {find_key(place) for place in (*places, endpoints.sockets.grpc)} == {"the-control-key"}
    assert find_key(endpoints.ports["metrics"]) is None
    assert sum(file.exists() for file in gated.files(endpoints)) == 4
    gated.publish_card(endpoints, 17, "http://127.0.0.1:9", ())
    for place in places:
        assert url_of(place, "metrics") == endpoints.metrics_url
        assert url_of(place, "health") == "http://127.0.0.1:9"
    gated.withdraw()
    assert {find_key(place) for place in places} == {None}


def test_a_key_that_cannot_be_kept_is_a_warning_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "naiad").symlink_to(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    loopback = exposure()
    loopback.check()
    events: list[LogEvent] = []
    loopback.publish(loopback.endpoints(tmp_path, "k", grpc_tls=False), events.append)
    assert [event.kind for event in events] == ["warning"]
