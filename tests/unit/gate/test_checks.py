"""Settings that are refused before anything starts, in plain words."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.tokens import ISSUER, Issuer, write_jwks

from naiad.errors import EngineError
from naiad.gate import GateSettings, check
from naiad.gate.certificates import make_certificate
from naiad.gate.keys import add_key, write_keys


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    add_key(tmp_path / "keys.json", "alice")
    return tmp_path / "keys.json"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(["localhost"], tmp_path, 1)


def refused(said: str, beyond_loopback: bool = False, **settings: Any) -> None:
    with pytest.raises(EngineError, match=said):
        check(GateSettings(**settings), beyond_loopback)


def test_beyond_loopback_without_credentials_says_what_to_do() -> None:
    with pytest.raises(EngineError) as caught:
        check(GateSettings(), beyond_loopback=True)
    said = str(caught.value)
    assert "\n" not in said
    for word in (
        *("naiad gate key add NAME", "--api-keys", "--jwt-issuer", "--jwt-jwks", "--tls-client-ca"),
        *("--tls-cert", "naiad gate certificate HOST", "--socket PATH", "--insecure"),
    ):
        assert word in said
    check(GateSettings(), beyond_loopback=False)
    check(GateSettings(insecure=True), beyond_loopback=True)


def test_keys_do_not_cross_a_network_in_clear(keys: Path, pair: tuple[Path, Path]) -> None:
    refused("unencrypted.*--tls-cert.*--insecure", beyond_loopback=True, api_keys=keys)
    settings = GateSettings(api_keys=keys)
    check(settings, beyond_loopback=False)
    check(replace(settings, insecure=True), beyond_loopback=True)
    check(replace(settings, tls_cert=pair[0], tls_key=pair[1]), beyond_loopback=True)


def test_a_certificate_and_its_key_are_a_pair(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    chain, key = pair
    refused("--tls-cert needs --tls-key", tls_cert=chain)
    refused("--tls-key needs --tls-cert", tls_key=key)
    refused("--tls-client-ca needs --tls-cert and --tls-key", tls_client_ca=chain)
    gone = tmp_path / "gone.pem"
    refused("gone.pem cannot be read: No such file", tls_cert=gone, tls_key=key)
    refused("has no readable PEM certificate", tls_cert=key, tls_key=key)
    refused("is not a private key in PEM", tls_cert=chain, tls_key=chain)
    other = make_certificate(["localhost"], tmp_path / "other", 1)
    refused("does not match the certificate", tls_cert=chain, tls_key=other[1])
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x30\x82\0\xff")
    refused("is not a text file", tls_cert=binary, tls_key=key)
    secret = serialization.BestAvailableEncryption(b"word")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret
        )
    )
    refused("is encrypted; write it without a password", tls_cert=chain, tls_key=locked)
    refused("has no readable PEM certificate", tls_cert=chain, tls_key=key, tls_client_ca=key)


def test_a_certificate_that_expired_is_refused(tmp_path: Path) -> None:
    chain, key = make_certificate(["localhost"], tmp_path, 0)  # valid before now alone
    refused("expired on 20", tls_cert=chain, tls_key=key)
    good = make_certificate(["localhost"], tmp_path / "good", 1)
    refused("expired on 20", tls_cert=good[0], tls_key=good[1], tls_client_ca=chain)


def test_keys_are_needed_where_a_file_of_them_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "keys.json"
    refused("keys.json cannot be read", api_keys=empty)
    write_keys(empty, [])
    refused("has no keys; make one with `naiad gate key add NAME", api_keys=empty)
    empty.write_text("{")
    refused("cannot be used: not JSON", api_keys=empty)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot be used: not JSON"),
        ("[]", "Expected `object`, got `array`"),
        ('{"keys": []}', r"length >= 1 - at `\$.keys`; they must be a JSON Web Key Set"),
        ('{"keys": [1]}', r"Expected `object`, got `int` - at `\$.keys\[0\]`"),
        ('{"keys": [{"kty": "oct", "k": "AAAA"}]}', r"'oct' - at `\$.keys\[0\].kty`; .* RSA, EC"),
        ('{"keys": [{"kty": "EC", "d": "x"}]}', "holds a private key"),
    ],
)
def test_public_keys_of_tokens_are_public_keys(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(text)
    refused(said, jwt_issuer=ISSUER, jwt_jwks=str(path))


def test_tokens_need_an_issuer_and_its_keys(tmp_path: Path) -> None:
    jwks = str(write_jwks(tmp_path / "jwks.json", Issuer("ES256")))
    refused("must be given together", jwt_issuer=ISSUER)
    refused("must be given together", jwt_jwks=jwks)
    refused("--jwt-audience needs", jwt_audience="x")
    check(GateSettings(jwt_issuer=ISSUER, jwt_jwks=jwks), beyond_loopback=False)
    for url in ("http://a.example.org/jwks", "ftp://a/x", "https://", "https://a:x/"):
        refused("must be a file or an https:// URL", jwt_issuer=ISSUER, jwt_jwks=url)
    check(GateSettings(jwt_issuer=ISSUER, jwt_jwks="https://a.example.org/jwks"), False)


def test_a_socket_has_a_directory_and_a_short_path(tmp_path: Path) -> None:
    refused("no directory", socket=tmp_path / "gone" / "naiad.sock")
    refused("at most 107 are allowed", socket=tmp_path / ("x" * 108))
    (tmp_path / "file").touch()
    refused("a file of that name exists", socket=tmp_path / "file")
    check(GateSettings(socket=tmp_path / "naiad.sock"), beyond_loopback=False)


@pytest.mark.parametrize(
    "origin", ["*", "app.example.org", "https://a.example.org/", "https://a@b", "null", "https://"]
)
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    refused("must be an origin, such as https://app.example.org", cors=(origin,))
    check(GateSettings(cors=("https://app.example.org", "http://localhost:8080")), False)


@pytest.mark.parametrize(
    ("setting", "value"), [("max_request_mb", 0), ("max_request_mb", 5000), ("max_connections", 0)]
)
def test_bounds_are_bounds(setting: str, value: int) -> None:
    refused(f"--{setting.replace('_', '-')} {value} must be", **{setting: value})


def test_an_access_log_can_be_written(tmp_path: Path) -> None:
    refused("cannot be written", access_log=tmp_path / "gone" / "log")
    check(GateSettings(access_log=tmp_path / "log"), beyond_loopback=False)


def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, keys: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    refused("cannot be read: Is a directory", api_keys=directory)
    if os.getuid():
        keys.chmod(0)
        refused("cannot be read: Permission denied", api_keys=keys)
    assert json.loads(keys.read_text() or "{}")
