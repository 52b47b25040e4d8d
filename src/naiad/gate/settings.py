"""How the gate is set up; each field is an option of ``naiad serve``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Who may ask, by what transport, and how much.

    Attributes:
        port: a port for HTTP/1.1, HTTP/2 and gRPC, beside those of ``http_port`` and ``grpc_port``,
            which take all three as well; None for none.
        socket: a Unix socket that takes all three; with it there are no ports.
        socket_mode: the permissions of the socket.
        tls_cert: PEM file of the server's certificate and those between it and its authority.
        tls_key: PEM file of its key.
        tls_client_ca: PEM file of the authorities whose client certificates are asked for.
        api_keys: file of names, SHA-256 hashes and rights, as ``naiad gate key add`` writes it.
        jwt_issuer: the ``iss`` of JSON Web Tokens that are taken.
        jwt_jwks: the issuer's public keys (RFC 7517), a file or an ``https://`` URL.
        jwt_audience: the ``aud`` that a token must have; "" for any.
        insecure: serve beyond loopback although nobody needs a credential.
        max_request_mb: largest request, in 10**6 bytes, after decompression.
        max_connections: most connections at a time.
        cors: origins whose pages may ask, such as ``https://app.example.org``.
        grpc_web: whether browsers may use gRPC-Web.
        access_log: file for a JSON line per request; None for none.
        otlp: ``host:port`` of an OpenTelemetry collector (gRPC) for traces; "" for none.
    """

    port: int | None = None
    socket: Path | None = None
    socket_mode: int = 0o600
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    api_keys: Path | None = None
    jwt_issuer: str = ""
    jwt_jwks: str = ""
    jwt_audience: str = ""
    insecure: bool = False
    max_request_mb: int = 256
    max_connections: int = 1000
    cors: tuple[str, ...] = ()
    grpc_web: bool = False
    access_log: Path | None = None
    otlp: str = ""

    @property
    def has_credentials(self) -> bool:
        """Whether a request needs a credential: an API key, a token or a client certificate."""
        return bool(self.api_keys or self.jwt_issuer or self.tls_client_ca)
