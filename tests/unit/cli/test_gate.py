"""``naiad gate``: keys and certificates from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from naiad.cli.main import app
from naiad.errors import EngineError
from naiad.gate.keys import hash_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["gate", *words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_key_is_shown_once_on_standard_output(home: Path) -> None:
    key = run("key", "add", "alice", "--model", "a", "--model", "b", "--rate", "50/s").strip()
    file = home / "naiad" / "api-keys.json"
    (entry,) = json.loads(file.read_text())["keys"]
    assert entry["sha256"] == hash_of(key)
    assert (entry["models"], entry["rate"], entry["may"]) == (["a", "b"], "50/s", ["infer"])
    assert key not in file.read_text()
    assert key not in run("key", "list")


def test_keys_are_listed_and_removed(tmp_path: Path) -> None:
    file = str(tmp_path / "other.json")
    run("key", "add", "alice", "--file", file)
    run("key", "add", "bob", "--may", "control", "--file", file)
    shown = run("key", "list", "--file", file)
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["alice", "infer"],
        ["bob", "infer,"],
    ]
    assert "removed the key of alice" in run("key", "remove", "alice", "--file", file)
    assert "alice" not in run("key", "list", "--file", file)
    with pytest.raises(EngineError, match="has no key for alice"):
        run("key", "remove", "alice", "--file", file)


def test_a_certificate_is_for_the_hosts_that_were_named(tmp_path: Path) -> None:
    shown = run("certificate", "gpu1.example.org", "192.0.2.7", "::1", "-o", str(tmp_path / "tls"))
    chain, key = tmp_path / "tls" / "gate-cert.pem", tmp_path / "tls" / "gate-key.pem"
    assert f"--tls-cert {chain} --tls-key {key}" in shown
    assert "--ca" in shown
    assert key.stat().st_mode & 0o777 == 0o600
    found = x509.load_pem_x509_certificate(chain.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gpu1.example.org"]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["192.0.2.7", "::1"]
    with pytest.raises(EngineError, match=r"exists; remove it, or choose another directory"):
        run("certificate", "localhost", "-o", str(tmp_path / "tls"))


@pytest.mark.parametrize("host", ["a:8000", "https://a", "", "a/b", "a b", "a_b"])
def test_a_host_is_a_name_or_an_address(tmp_path: Path, host: str) -> None:
    with pytest.raises(EngineError, match="must be a name or an address"):
        run("certificate", host, "-o", str(tmp_path / "tls"))
    assert not (tmp_path / "tls").exists()
