"""TLS certificates: checks of given ones, and a self-signed one to try with."""

from __future__ import annotations

import ipaddress
import os
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from naiad.errors import EngineError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509


def check_pair(chain: bytes, key: bytes, names: tuple[Path, Path]) -> None:
    """Check a certificate chain and its private key; ``names`` are their files.

    Raises:
        EngineError: a file is not PEM, the key is encrypted or does not match the certificate, or
            the certificate is not valid today.
        MissingExtra: ``cryptography`` is not installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise MissingExtra("gate", "cryptography") from None
    certificate = _certificates(chain, names[0])[0]
    _check_dates(certificate, names[0])
    try:
        private = load_pem_private_key(key, None)
    except TypeError:
        raise EngineError(
            f"the TLS key {names[1]} is encrypted; write it without a password to a file that "
            f"only you can read: openssl pkey -in {names[1]} -out plain.pem"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise EngineError(f"the TLS key {names[1]} is not a private key in PEM") from None
    if private.public_key() != certificate.public_key():
        raise EngineError(f"the TLS key {names[1]} does not match the certificate {names[0]}")


def check_authorities(text: bytes, name: Path) -> None:
    """Check certificates of authorities, in PEM.

    Raises:
        EngineError: no certificate was found, one cannot be read, or none is valid today.
        MissingExtra: ``cryptography`` is not installed.
    """
    found = _certificates(text, name)
    now = datetime.now(timezone.utc)
    if not any(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in found):
        _check_dates(found[0], name)


def make_certificate(hosts: Sequence[str], directory: Path, days: int) -> tuple[Path, Path]:
    """Make a self-signed certificate for ``hosts`` (names or addresses) and its key.

    Returns:
        ``gate-cert.pem`` and ``gate-key.pem``; only the user can read the latter.

    Raises:
        EngineError: a file exists or cannot be written, or a host is invalid.
        MissingExtra: ``cryptography`` is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise MissingExtra("gate", "cryptography") from None
    names = [_general_name(host) for host in hosts]
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0][:64])])
    now = datetime.now(timezone.utc)
    usage = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(usage, critical=False)
        # Python 3.13 and later require both identifiers.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    paths = directory / "gate-cert.pem", directory / "gate-key.pem"
    for path in paths:
        if path.exists():
            raise EngineError(f"{path} exists; remove it, or choose another directory with -o")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(paths[1], private, 0o600)
        _write(paths[0], certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    except OSError as error:
        raise EngineError(f"the certificate cannot be written to {directory}: {error}") from None
    return paths


def system_authorities() -> Path:
    """Return the file of authorities that this machine trusts."""
    given = ssl.get_default_verify_paths()
    if given.cafile:  # SSL_CERT_FILE, or OpenSSL's own
        return Path(given.cafile)
    for usual in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"):
        if Path(usual).is_file():
            return Path(usual)
    import certifi  # comes with requests

    return Path(certifi.where())


def _certificates(text: bytes, name: Path) -> list[x509.Certificate]:
    try:
        from cryptography import x509
    except ImportError:
        raise MissingExtra("gate", "cryptography") from None
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise EngineError(f"{name} has no readable PEM certificate") from None


def _key_usage() -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _check_dates(certificate: x509.Certificate, name: Path) -> None:
    now = datetime.now(timezone.utc)
    if certificate.not_valid_after_utc < now:
        raise EngineError(
            f"the certificate {name} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        )
    if certificate.not_valid_before_utc > now:
        raise EngineError(
            f"the certificate {name} is not valid before "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        )


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(_host(host))


def _host(name: str) -> str:
    try:
        ascii_name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        ascii_name = ""
    plain = ascii_name.removeprefix("*.").replace(".", "").replace("-", "")
    if not plain or not plain.isalnum() or len(ascii_name) > 253:
        raise EngineError(f"the host {name!r} must be a name or an address, without a port")
    return ascii_name


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
        file.write(data)
