"""The gate's SHA-256, which runs in Envoy, equals Python's."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.gate import eventually

from naiad.gate import envoy
from naiad.gate.resources import LUA, script

_ANSWER = """
local function unhex(text)
  return (text:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

function envoy_on_request(handle)
  local hash = sha256(unhex(handle:headers():get("x-text") or ""))
  handle:respond({ [":status"] = "200" }, hash)
end
"""


@pytest.fixture(scope="module")
def sha256(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bytes], str]]:
    directory = tmp_path_factory.mktemp("sha256")
    path = directory / "socket"
    kinds = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{kinds}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "x",
        "route_config": {"name": "x", "virtual_hosts": []},
        "http_filters": [
            {
                "name": "lua",
                "typed_config": {
                    "@type": LUA,
                    "default_source_code": {"inline_string": script("sha256") + _ANSWER},
                },
            },
            {
                "name": "router",
                "typed_config": {"@type": f"{kinds}.http.router.v3.Router"},
            },
        ],
    }
    listener = {
        "name": "x",
        "address": {"pipe": {"path": str(path)}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }
    config = directory / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    command = [str(envoy()), "-c", str(config), "--disable-hot-restart", "--log-level", "error"]
    process = subprocess.Popen([*command, "--concurrency", "1"])
    connection = http.client.HTTPConnection("localhost")

    def ask(text: bytes) -> str:
        connection.request("GET", "/", headers={"x-text": text.hex()})
        return connection.getresponse().read().decode()

    def connects() -> bool:
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(path))
        except OSError:
            connection.close()
            return False
        return True

    try:
        assert eventually(connects)
        yield ask
    finally:
        connection.close()
        process.terminate()
        process.wait(20)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_it_is_sha256(sha256: Callable[[bytes], str], text: bytes) -> None:
    assert sha256(text) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("length", [0, 1, 49, 54, 55, 56, 57, 63, 64, 65, 119, 120, 128, 10_000])
def test_it_is_sha256_at_the_edges_of_its_blocks(
    sha256: Callable[[bytes], str], length: int
) -> None:
    for byte in (b"\0", b"a", b"\xff"):
        assert sha256(byte * length) == hashlib.sha256(byte * length).hexdigest()


def test_the_script_is_a_file_of_the_package(tmp_path: Path) -> None:
    for name in ("sha256", "authorise", "inspect"):
        assert script(name).startswith("--")
