"""Checks of the gate's settings and the files they name, before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from naiad.core.settings import GateSettings
from naiad.errors import EngineError
from naiad.gate.certificates import check_authorities, check_pair
from naiad.gate.keys import parse_keys
from naiad.gate.resources import inputs, is_url
from naiad.typed_json import decode

_LONGEST_SOCKET = 107
_LARGEST_INPUT = 10_000_000


def check(settings: GateSettings, beyond_loopback: bool) -> None:
    """Refuse invalid or unsafe settings, and say why.

    Args:
        settings: the gate's settings.
        beyond_loopback: True if other hosts can reach it.

    Raises:
        EngineError: a setting or a file is invalid, or strangers could use the server.
        MissingExtra: a package of the extra ``gate`` is not installed.
    """
    if bool(settings.tls_cert) != bool(settings.tls_key):
        there, missing = ("cert", "key") if settings.tls_cert else ("key", "cert")
        raise EngineError(f"--tls-{there} needs --tls-{missing}: TLS needs a certificate and a key")
    if settings.tls_client_ca and not settings.tls_cert:
        raise EngineError(
            "--tls-client-ca needs --tls-cert and --tls-key: client certificates need TLS"
        )
    if bool(settings.jwt_issuer) != bool(settings.jwt_jwks):
        raise EngineError(
            "--jwt-issuer and --jwt-jwks must be given together: the issuer and its keys"
        )
    if settings.jwt_audience and not settings.jwt_issuer:
        raise EngineError("--jwt-audience needs --jwt-issuer and --jwt-jwks")
    if not 1 <= settings.max_request_mb <= 4000:
        raise EngineError(f"--max-request-mb {settings.max_request_mb} must be 1 to 4000")
    if settings.max_connections < 1:
        raise EngineError(f"--max-connections {settings.max_connections} must be at least 1")
    if settings.socket:
        _check_socket(settings.socket)
    if is_url(settings.jwt_jwks):
        _check_url(settings.jwt_jwks)
    for origin in settings.cors:
        _check_origin(origin)
    if settings.access_log:
        _check_log(settings.access_log)
    content = read_inputs(settings)
    check_content(settings, content)
    # A running server accepts an empty file: nobody has a key any more.
    if settings.api_keys and not parse_keys(content[settings.api_keys], settings.api_keys):
        raise EngineError(
            f"the API key file {settings.api_keys} has no keys; make one with "
            f"`naiad gate key add NAME --file {settings.api_keys}`"
        )
    if beyond_loopback and not settings.insecure:
        _check_exposure(settings)


def read_inputs(settings: GateSettings) -> dict[Path, bytes]:
    """Return the content of the files that the gate depends on.

    Raises:
        EngineError: one cannot be read.
    """
    content: dict[Path, bytes] = {}
    for path in inputs(settings):
        try:
            with path.open("rb") as file:
                content[path] = file.read(_LARGEST_INPUT + 1)
        except OSError as error:
            raise EngineError(f"{path} cannot be read: {error.strerror}") from None
        if len(content[path]) > _LARGEST_INPUT:
            raise EngineError(f"{path} is larger than {_LARGEST_INPUT} bytes")
        if not _is_text(content[path]):
            raise EngineError(f"{path} is not a text file")
    return content


def check_content(settings: GateSettings, content: Mapping[Path, bytes]) -> None:
    """Check the content of the files.

    Raises:
        EngineError: names the invalid file and what is right.
    """
    if settings.api_keys:
        parse_keys(content[settings.api_keys], settings.api_keys)
    if settings.tls_cert and settings.tls_key:
        names = settings.tls_cert, settings.tls_key
        check_pair(content[settings.tls_cert], content[settings.tls_key], names)
    if settings.tls_client_ca:
        check_authorities(content[settings.tls_client_ca], settings.tls_client_ca)
    if settings.jwt_jwks and not is_url(settings.jwt_jwks):
        path = Path(settings.jwt_jwks)
        _check_jwks(content[path], path)


def _check_exposure(settings: GateSettings) -> None:
    if not settings.has_credentials:
        raise EngineError(
            "anyone who reaches this address could use the server. Require credentials: make an "
            "API key (`naiad gate key add NAME`) and pass its file with --api-keys, or the issuer "
            "of tokens with --jwt-issuer and --jwt-jwks, or the authority of client certificates "
            "with --tls-client-ca. Also pass a certificate with --tls-cert and --tls-key (`naiad "
            "gate certificate HOST` makes one to try with). On one host use --host 127.0.0.1 or "
            "--socket PATH. To serve everyone anyway: --insecure"
        )
    if not settings.tls_cert:
        raise EngineError(
            "API keys and tokens would cross the network unencrypted. Pass a certificate with "
            "--tls-cert and --tls-key (`naiad gate certificate HOST` makes one to try with), or "
            "--insecure if a proxy in front does TLS"
        )


def _check_socket(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > _LONGEST_SOCKET:
        raise EngineError(
            f"the socket path {path} has {length} bytes; at most {_LONGEST_SOCKET} are allowed"
        )
    if not path.parent.is_dir():
        raise EngineError(f"cannot create the socket {path}: no directory {path.parent}")
    if path.exists() and not path.is_socket():
        raise EngineError(f"cannot create the socket {path}: a file of that name exists")


def _check_url(jwks: str) -> None:
    try:
        url = urlsplit(jwks)
        usable = url.scheme == "https" and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise EngineError(
            f"--jwt-jwks {jwks} must be a file or an https:// URL: anyone who can change the "
            f"keys in transit can sign tokens"
        )


class _Key(msgspec.Struct):
    kty: Literal["RSA", "EC", "OKP"]
    d: Any = msgspec.UNSET


class _KeySet(msgspec.Struct):
    keys: Annotated[list[_Key], msgspec.Meta(min_length=1)]


def _check_jwks(text: bytes, path: Path) -> None:
    try:
        keys = decode(text, _KeySet).keys
    except ValueError as error:
        raise EngineError(
            f"the public keys {path} cannot be used: {error}; they must be a JSON Web Key Set with "
            "keys of the types RSA, EC and OKP (RFC 7517)"
        ) from None
    for index, key in enumerate(keys):
        if key.d is not msgspec.UNSET:
            raise EngineError(f"the public keys {path}: keys[{index}] holds a private key")


def _check_origin(origin: str) -> None:
    try:
        url = urlsplit(origin)
        usable = url.scheme in ("http", "https") and f"{url.scheme}://{url.netloc}" == origin
        usable = usable and bool(url.hostname) and "@" not in origin
    except ValueError:
        usable = False
    if not usable:
        raise EngineError(f"--cors {origin} must be an origin, such as https://app.example.org")


def _check_log(path: Path) -> None:
    try:
        path.open("a").close()
    except OSError as error:
        raise EngineError(f"the access log {path} cannot be written: {error.strerror}") from None


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False
