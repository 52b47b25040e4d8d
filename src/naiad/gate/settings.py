"""How the gate is set up; each field is an option of ``naiad serve``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


def _said(help: str, metavar: str | None = None) -> dict[str, Any]:
    return {"help": help, "metavar": metavar}


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Who may ask, by what transport, and how much."""

    port: int | None = field(
        default=None,
        metadata=_said(
            "One more port for HTTP and gRPC alike, such as 8443; the other two take both as well."
        ),
    )
    socket: Path | None = field(
        default=None,
        metadata=_said(
            "Listen on this Unix socket, and on no port; clients take unix:PATH.", "PATH"
        ),
    )
    socket_mode: int = field(
        default=0o600, metadata=_said("Permissions of the socket, in octal.", "MODE")
    )
    tls_cert: Path | None = field(
        default=None,
        metadata=_said(
            "PEM file of the server's certificate chain; read again when it changes.", "FILE"
        ),
    )
    tls_key: Path | None = field(
        default=None, metadata=_said("PEM file of the certificate's key.", "FILE")
    )
    tls_client_ca: Path | None = field(
        default=None,
        metadata=_said(
            "PEM file of the authorities whose client certificates are asked for.", "FILE"
        ),
    )
    api_keys: Path | None = field(
        default=None,
        metadata=_said(
            "API keys, as `naiad gate key add` keeps them; read again when it changes.", "FILE"
        ),
    )
    jwt_issuer: str = field(
        default="", metadata=_said("Take JSON Web Tokens of this issuer (iss).", "ISS")
    )
    jwt_jwks: str = field(
        default="", metadata=_said("The issuer's public keys (JWKS).", "FILE|URL")
    )
    jwt_audience: str = field(
        default="", metadata=_said("The audience (aud) that a token must name.", "AUD")
    )
    insecure: bool = field(
        default=False, metadata=_said("Let everybody in who reaches the port, and read along.")
    )
    max_request_mb: int = field(default=256, metadata=_said("Largest request, decompressed.", "MB"))
    max_connections: int = field(default=1000, metadata=_said("Most connections at a time."))
    cors: tuple[str, ...] = field(
        default=(),
        metadata=_said(
            "An origin whose pages may ask, as https://app.example.org; may be repeated.", "ORIGIN"
        ),
    )
    grpc_web: bool = field(default=False, metadata=_said("Translate gRPC-Web, for browsers."))
    access_log: Path | None = field(
        default=None,
        metadata=_said("Append a JSON line per request: who, model, status, bytes, time.", "FILE"),
    )
    otlp: str = field(
        default="",
        metadata=_said("Send traces to this OpenTelemetry collector (gRPC).", "HOST:PORT"),
    )

    @property
    def has_credentials(self) -> bool:
        """Whether a request needs a credential: an API key, a token or a client certificate."""
        return bool(self.api_keys or self.jwt_issuer or self.tls_client_ca)
