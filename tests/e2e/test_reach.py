"""A server is reachable at its stated address: by name, IPv6, socket, TLS, past a proxy."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.support.certificates import Authority
from tests.support.command import naiad_serve, shown_when_ready, urls_shown
from tests.support.forks import naiad
from tests.support.triton import FREE, copy_model

from naiad import Client, Server
from naiad.errors import EngineError

X = np.arange(3, dtype=np.float32)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_model(tmp_path / "models", "identity")
    return tmp_path / "models"


def answers(url: str, **options: object) -> bool:
    with Client(url, **options) as client:  # pyright: ignore[reportArgumentType]
        return np.array_equal(client.infer("identity", x=X)["y"], X)


@pytest.mark.parametrize("host", ["localhost", "::1", "[::1]", "127.0.0.2"])
def test_it_listens_on_names_and_ipv6(repository: Path, host: str):
    with Server(repository, **FREE, host=host, health_port=0) as server:
        for url in (server.grpc_url, server.http_url):
            assert answers(url)
        assert server.metrics()
        assert server.client().models()


def test_a_host_that_is_none_is_refused_in_plain_words(repository: Path):
    with pytest.raises(EngineError, match="unknown host"):
        Server(repository, **FREE, host="no-such-host.invalid").start()


@pytest.fixture
def _behind_a_proxy(monkeypatch: pytest.MonkeyPatch):
    """Set a proxy as on HPC sites; nothing answers there."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("_behind_a_proxy")
def test_loopback_bypasses_a_proxy_in_the_environment(repository: Path):
    with naiad_serve("--model-repository", repository) as command:
        urls = urls_shown(shown_when_ready(command))
        assert answers(urls["gRPC"])
        assert answers(urls["HTTP"])
        listed = subprocess.run(
            [
                *naiad(),
                *("models", "--url", urls["gRPC"]),
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "identity" in listed.stdout


def test_the_command_serves_on_a_socket(repository: Path, tmp_path: Path):
    socket = tmp_path / "naiad.sock"
    with naiad_serve("--model-repository", repository, "--socket", socket) as command:
        shown = shown_when_ready(command)
        assert f"unix:{socket}" in shown
        assert "HTTP" not in urls_shown(shown)
        assert answers(f"unix:{socket}")


def test_tritons_own_tls_works_without_a_gate(repository: Path, tmp_path: Path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue("localhost", "127.0.0.1")
    options = (
        "--grpc-use-ssl=true",
        f"--grpc-server-cert={certificate}",
        f"--grpc-server-key={key}",
    )
    given = [f"--triton-option={option}" for option in options]
    with naiad_serve("--model-repository", repository, *given) as command:
        shown = shown_when_ready(command)
        url = next(word for word in shown.split() if word.startswith("grpcs://"))
        assert answers(url, ca=authority.ca)


def test_the_command_refuses_all_interfaces_and_says_what_to_do(repository: Path):
    with naiad_serve("--model-repository", repository, "--host", "0.0.0.0") as command:
        _, said = command.communicate(timeout=60)
    assert command.returncode == 1
    for remedy in ("naiad gate key add", "--api-keys", "--tls-cert", "--insecure"):
        assert remedy in said
    with naiad_serve(
        "--model-repository", repository, "--host", "0.0.0.0", "--insecure"
    ) as command:
        shown = shown_when_ready(command)
        assert command.stderr is not None
        command.terminate()
        said = command.stderr.read()
    assert "ready in" in shown
    assert "INSECURE" in said
