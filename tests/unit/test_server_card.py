"""A server's card tells its user's commands its address and settings."""

from pathlib import Path

import pytest

from naiad.control_key import key_path
from naiad.server_card import ServerCard, find_card, publish_card, url_of

CARD = ServerCard(
    pid=17,
    address="127.0.0.1",
    ports={"HTTP": 8000, "gRPC": 8001, "metrics": 8002},
    urls={"gRPC": "127.0.0.1:8001", "metrics": "http://127.0.0.1:8002/metrics"},
    metrics_address="127.0.0.1",
    health_address="127.0.0.1",
    model_control="none",
    grpc_tls=False,
    gate={"api_keys": "keys.json"},
)


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_card_is_found_by_each_address_of_its_server(tmp_path: Path):
    socket = tmp_path / "naiad.sock"
    files = publish_card(CARD, [8000, 8001, socket])
    assert [find_card(place) for place in (8000, 8001, socket)] == [CARD] * 3
    assert find_card(8002) is find_card(None) is None
    assert url_of(socket, "metrics") == "http://127.0.0.1:8002/metrics"
    assert url_of(8000, "health") is url_of(8002, "metrics") is url_of(None, "gRPC") is None
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1, "other": 2}'])
def test_a_damaged_card_is_ignored(text: str):
    publish_card(CARD, [8001])
    key_path(8001).with_suffix(".json").write_text(text)
    assert find_card(8001) is None
