"""Credentials: the API key, headers and PEM files of a client, and the control key of a server."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from naiad import control_key
from naiad.client.address import Address
from naiad.client.transport import Tls
from naiad.errors import InvalidInput, NotAllowed

API_KEY: Final = "x-api-key"
"""The header, or gRPC metadata, that carries an API key."""
API_KEY_VARIABLE: Final = "NAIAD_API_KEY"
CA_VARIABLE: Final = "NAIAD_CA"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Credentials that a client sends, and those by which it verifies the server.

    Attributes:
        headers: sent with each call.
        api_key: sent with each call; default: from the environment.
        ca: PEM file of the authority to trust; default: from the environment, else the system's.
        certificate: PEM file of the client's certificate.
        private_key: PEM file of its key.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    api_key: str | None = field(default=None, repr=False)
    ca: str | Path | None = None
    certificate: str | Path | None = None
    private_key: str | Path | None = None

    def headers_to(self, address: Address) -> dict[str, str]:
        """Return the headers of each call to the server at ``address``, the API key included.

        An API key in ``headers`` itself is sent as it is, wherever the server is.

        Raises:
            InvalidInput: a value is not valid in a header, or an API key would leave this host
                unencrypted.
        """
        headers = dict(self.headers)
        if API_KEY not in {name.lower() for name in headers}:
            variable = self.api_key is None
            key = os.environ.get(API_KEY_VARIABLE, "").strip() if variable else self.api_key
            if key:
                _check_way(address, f"the API key in {API_KEY_VARIABLE}" if variable else "api_key")
                headers[API_KEY] = key
        for name, value in headers.items():
            _check_header(name, value)
        return headers

    def tls_to(self, address: Address) -> Tls:
        """Return the PEM files to use with ``address``.

        Raises:
            InvalidInput: the URL is not encrypted but files are given, a file is missing or holds
                something else, or a client certificate comes without its key (or the reverse).
        """
        given = [
            Path(path) if path else None for path in (self.ca, self.certificate, self.private_key)
        ]
        if not address.tls:
            if any(given):
                raise InvalidInput(
                    f"{address} is not encrypted, yet has certificates: use {address.encrypted}"
                    if address.socket is None
                    else f"{address} is a Unix socket, which takes no certificates"
                )
            return Tls()
        ca, certificate, private_key = given
        if ca is None and (variable := os.environ.get(CA_VARIABLE)):
            ca = Path(variable)
        if bool(certificate) != bool(private_key):
            raise InvalidInput("certificate and private_key belong together: give both or none")
        for path in (ca, certificate, private_key):
            if path and not path.is_file():
                raise InvalidInput(f"{path}: no such file")
        tls = Tls(ca, certificate, private_key)
        context_of(tls)
        return tls


NO_ACCESS: Final = Access()
"""Credentials from the environment only."""


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return the context of Python's ``ssl`` for these PEM files.

    Raises:
        InvalidInput: a file cannot be read or has the wrong content.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (ssl.SSLError, OSError) as error:
        raise InvalidInput(f"{tls.ca}: no certificates in PEM form ({error})") from None
    if tls.certificate:
        try:
            # The password keeps Python from asking for one at the terminal.
            context.load_cert_chain(tls.certificate, tls.private_key, password="")
        except (ssl.SSLError, OSError) as error:
            raise InvalidInput(
                f"{tls.certificate} and {tls.private_key}: not a certificate in PEM form and its "
                f"key, without a password ({error})"
            ) from None
    return context


def control_headers(address: Address, header: str) -> dict[str, str]:
    """Return the control key of the server at ``address`` as a ``header``, if there is one.

    It is looked up for each call, since a restarted server has a new key, and is sent to another
    machine over an encrypted connection only.
    """
    if not address.is_local and not address.tls:
        return {}
    key = control_key.find_key(address.place)
    if key is None:
        return {}
    _check_header(f"the control key ({control_key.VARIABLE})", key)
    return {header: key}


def refused(
    error: NotAllowed, address: Address, sent: Mapping[str, str], *, control: bool
) -> NotAllowed:
    """Return ``error`` with the credentials that the server needs and that ``sent`` lacks."""
    names = {name.lower() for name in sent}
    said = str(error)
    if control and "is restricted, expecting header" in said:
        found = names & {control_key.HTTP_HEADER, control_key.GRPC_HEADER}
        wrong = "; the control key that was found here is another server's" if found else ""
        return NotAllowed(
            f"{address} lists, loads and unloads models only for its own user: ask from its host "
            f"as the user who started it, set {control_key.VARIABLE} to its control key, or use an "
            f"API key that may control{wrong}"
        )
    if names & {API_KEY, "authorization"}:
        return NotAllowed(f"{address} does not allow this with the key that was sent: {said}")
    return NotAllowed(
        f"{address} wants an API key, as api_key=... or in {API_KEY_VARIABLE}, or a token, as "
        f'headers={{"authorization": "Bearer ..."}}: {said}'
    )


def _check_way(address: Address, what: str) -> None:
    """Raise `InvalidInput` unless ``address`` is encrypted or on this host."""
    if address.tls or address.is_local:
        return
    raise InvalidInput(
        f"{what} would travel unencrypted to {address}, where anyone on the way can read it: use "
        f"{address.encrypted}, or, if you know that the network is safe, "
        f'headers={{"{API_KEY}": ...}}'
    )


def _check_header(name: str, value: str) -> None:
    """Raise `InvalidInput` for a value that no header can carry, without repeating the value."""
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InvalidInput(
            f"{name}: a header's value must be printable ASCII, with no space or newline at the "
            "ends"
        )
