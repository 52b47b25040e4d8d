"""TLS, client certificates, Unix sockets, and the listener of the counters."""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.gate import SERVICE, Gate, running

from naiad.gate import GateSettings
from naiad.gate.certificates import make_certificate
from naiad.gate.keys import add_key


class Authority:
    """An authority that signs the certificates of clients."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, directory.name)])
        self.file = directory / "ca.pem"
        self.file.write_bytes(self._sign(self._name, self._key, ca=True))

    def client(self, name: str) -> tuple[Path, Path]:
        """Return a client's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        files[0].write_bytes(self._sign(subject, key, ca=False))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return files

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(["localhost", "127.0.0.1", "::1"], tmp_path_factory.mktemp("tls"), 1)


def trusting(pair: tuple[Path, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(pair[0]))


def test_tls_carries_http1_http2_and_grpc_on_one_port(pair: tuple[Path, Path]) -> None:
    with running(GateSettings(tls_cert=pair[0], tls_key=pair[1])) as gate:
        assert gate.ask("GET", "/v2", context=trusting(pair)).status == 200
        credentials = grpc.ssl_channel_credentials(pair[0].read_bytes())
        assert gate.call("ModelInfer", b"x", credentials=credentials) == b"x"
        context = trusting(pair)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection(("127.0.0.1", gate.port), 20) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            assert connection.selected_alpn_protocol() == "h2"
            assert connection.version() in ("TLSv1.2", "TLSv1.3")


def test_every_port_takes_every_protocol() -> None:
    with running(GateSettings()) as gate:
        for port in (gate.port, gate.other_port):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/v2")
            assert connection.getresponse().status == 200
            connection.close()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                call = channel.unary_unary(SERVICE + "ModelInfer")
                assert call(b"x", timeout=20) == b"x"


def test_without_tls_the_port_takes_nothing(pair: tuple[Path, Path]) -> None:
    with running(GateSettings(tls_cert=pair[0], tls_key=pair[1])) as gate:
        with pytest.raises((OSError, http.client.HTTPException)):
            gate.ask("GET", "/v2")
        assert gate.refused("ServerLive")[0] is grpc.StatusCode.UNAVAILABLE
        assert gate.behind.seen == []


def test_old_tls_is_refused(pair: tuple[Path, Path]) -> None:
    with running(GateSettings(tls_cert=pair[0], tls_key=pair[1])) as gate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with gate.connect() as plain, pytest.raises(ssl.SSLError, match=r"(?i)version|alert|EOF"):
            context.wrap_socket(plain)


def test_client_certificates_are_needed_where_an_authority_is_named(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    log = tmp_path / "access.log"
    settings = GateSettings(
        tls_cert=pair[0], tls_key=pair[1], tls_client_ca=ours.file, access_log=log
    )

    def reaches(gate: Gate, client: tuple[Path, Path] | None) -> bool:
        context = trusting(pair)
        if client:
            context.load_cert_chain(*client)
        try:
            return gate.ask("POST", "/v2/models/a/infer", b"x", context=context).status == 200
        except OSError:
            return False

    alice, mallory = ours.client("alice"), theirs.client("mallory")
    with running(settings) as gate:
        assert reaches(gate, alice)
        assert not reaches(gate, None)
        assert not reaches(gate, mallory)
        credentials = grpc.ssl_channel_credentials(
            pair[0].read_bytes(), alice[1].read_bytes(), alice[0].read_bytes()
        )
        gate.call("ModelInfer", b"x", credentials=credentials)
        code, message = gate.refused("RepositoryModelLoad", credentials=credentials)
        assert (code, "control key" in message) == (grpc.StatusCode.PERMISSION_DENIED, True)
        gate.until(lambda: "CN=alice" in log.read_text())

        ours.file.write_bytes(theirs.file.read_bytes())
        assert "is in force" in gate.refresh()[0]
        gate.until(lambda: reaches(gate, mallory), within=5)
        assert not reaches(gate, alice)


def test_with_keys_both_a_certificate_and_a_key_are_needed(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ours")
    file = tmp_path / "keys.json"
    key = add_key(file, "alice")
    settings = GateSettings(
        tls_cert=pair[0], tls_key=pair[1], tls_client_ca=authority.file, api_keys=file
    )
    with running(settings) as gate:
        context = trusting(pair)
        with pytest.raises(OSError, match=r"(?i)certificate|closed|reset|EOF"):
            gate.ask("GET", "/v2", headers={"x-api-key": key}, context=context)
        context.load_cert_chain(*authority.client("alice"))
        assert gate.ask("GET", "/v2", context=context).status == 401
        headers = {"x-api-key": key}
        assert gate.ask("GET", "/v2", headers=headers, context=context).status == 200


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_unix_socket_takes_all_three_and_has_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "naiad.sock"
    for _ in range(2):  # the second finds the first one's remains
        with running(GateSettings(socket=path, socket_mode=mode)) as gate:
            assert path.stat().st_mode & 0o777 == mode
            with grpc.insecure_channel(f"unix:{path}") as channel:
                call = channel.unary_unary(SERVICE + "ModelInfer")
                assert call(b"x", timeout=20) == b"x"
            connection = http.client.HTTPConnection("localhost")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            connection.request("GET", "/v2")
            assert connection.getresponse().status == 200
            connection.close()
            assert [seen.path for seen in gate.behind.seen] == [SERVICE + "ModelInfer", "/v2"]
            gate.process.kill()
            gate.process.wait()
            assert path.exists()


def test_the_counters_are_read_and_nothing_else_of_the_admin_interface() -> None:
    with running(GateSettings()) as gate:
        gate.ask("GET", "/v2")

        def ask(method: str, path: str) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", gate.metrics_port, timeout=20)
            connection.request(method, path)
            reply = connection.getresponse()
            found = reply.status, reply.read()
            connection.close()
            return found

        assert ask("GET", "/metrics")[0] == 200
        assert gate.behind.seen[-1].path == "/metrics"
        status, text = ask("GET", "/metrics/gate")
        assert status == 200
        assert b"envoy_http_downstream_rq" in text
        for path in (
            *("/", "/stats", "/config_dump", "/certs", "/clusters", "/logging", "/ready"),
            *("/metrics/gate/../../quitquitquit", "/metrics/gate/config_dump", "/metrics/gatex"),
            *("/metrics/../config_dump", "//quitquitquit", "/metrics/gate%2f..%2fquitquitquit"),
        ):
            for method in ("GET", "POST"):
                assert ask(method, path)[0] in (400, 404), path
        assert ask("POST", "/metrics/gate")[0] == 404
        assert ask("POST", "/quitquitquit")[0] == 404


def test_a_port_that_is_taken_is_not_shared() -> None:
    with running(GateSettings()) as gate, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", gate.port))
