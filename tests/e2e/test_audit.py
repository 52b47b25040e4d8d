"""An audit lists the open parts of a running server, and who can reach them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.forks import naiad
from tests.support.triton import FREE, copy_model

from naiad import GateSettings, Server
from naiad.audit import Finding, audit
from naiad.client.access import Access
from naiad.gate.certificates import make_certificate
from naiad.gate.keys import add_key


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_model(tmp_path / "models", "identity")
    return tmp_path / "models"


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


@pytest.mark.parametrize("protocol", ["grpc_url", "http_url"])
def test_nothing_is_open_on_loopback_but_inference_to_users_of_the_host(
    repository: Path, protocol: str
):
    with Server(repository, **FREE) as server:
        findings = by_subject(audit(getattr(server, protocol), Access()))
    assert [f for f in findings.values() if f.verdict == "open"] == []
    assert "October 2024" in findings["engine"].state
    assert findings["reach"].state == "every user of this host"
    assert "identity" in findings["code"].state
    for subject in ("shared memory", "list of models", "logging", "trace"):
        assert findings[subject].verdict == "closed"
    assert findings["control key"].state == "in a file that only the server's user can read"


def test_a_server_on_all_interfaces_is_open(repository: Path):
    gate = GateSettings(insecure=True)
    with Server(repository, **FREE, host="0.0.0.0", health_port=0, gate=gate) as server:
        findings = by_subject(audit(server.grpc_url, Access()))
    open_ones = {f.subject: f.remedy for f in findings.values() if f.verdict == "open"}
    assert set(open_ones) == {"encryption", "inference"}
    assert "--tls-cert" in open_ones["encryption"]
    assert "--api-keys" in open_ones["inference"]


def test_a_server_with_keys_and_a_certificate_is_closed(repository: Path, tmp_path: Path):
    keys = tmp_path / "keys.json"
    key = add_key(keys, "alice")
    add_key(keys, "operator", ("infer", "control"))
    certificate, private_key = make_certificate(["127.0.0.1"], tmp_path, days=2)
    gate = GateSettings(api_keys=keys, tls_cert=certificate, tls_key=private_key)
    with Server(repository, **FREE, host="0.0.0.0", gate=gate) as server:
        access = Access(api_key=key, ca=certificate)
        findings = by_subject(audit(server.grpc_url, access))
        keys.chmod(0o666)
        loose = by_subject(audit(server.grpc_url, access))
    assert [f for f in findings.values() if f.verdict == "open"] == []
    assert findings["encryption"].state == "TLS"
    assert findings["API keys"].state.endswith("may control: operator")
    assert loose["API keys"].verdict == "open"


def test_the_command_exits_with_1_if_something_is_open(repository: Path):
    def run(server: Server) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            [*naiad(), "audit", "--url", server.grpc_url, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, json.loads(done.stdout)

    with Server(repository, **FREE) as server:
        status, findings = run(server)
    assert status == 0
    assert {"subject", "state", "verdict", "remedy"} == set(findings[0])
    with Server(repository, **FREE, host="0.0.0.0", gate=GateSettings(insecure=True)) as server:
        assert run(server)[0] == 1
