"""Explanations of failed TLS handshakes, from the words of OpenSSL and BoringSSL."""

from __future__ import annotations

import re

from naiad.client.address import Address

_PLAIN = re.compile("WRONG_VERSION_NUMBER|record layer failure|HTTP_REQUEST", re.IGNORECASE)
_EXPIRED = re.compile("certificate has expired|CERTIFICATE_EXPIRED", re.IGNORECASE)
_EARLY = re.compile("certificate is not yet valid", re.IGNORECASE)
_OTHER_HOST = re.compile(
    "hostname mismatch|IP address mismatch|Hostname Verification Check failed|"
    "is not in peer certificate",
    re.IGNORECASE,
)
_UNTRUSTED = re.compile("CERTIFICATE_VERIFY_FAILED", re.IGNORECASE)
_WANTS_OURS = re.compile(
    "alert.(bad.)?certificate|CERTIFICATE_REQUIRED|alert unknown ca", re.IGNORECASE
)
_NO_HTTP2 = re.compile("missing selected ALPN")
_ANY = re.compile("handshake|SSL", re.IGNORECASE)
_ENDED = re.compile("EOF")  # the other side hung up, before or after the handshake


def explain(address: Address, said: str) -> str:
    """Return why the TLS handshake with ``address`` failed; "" for another failure."""
    plain = f"{'grpc' if address.is_grpc else 'http'}://{address.target}{address.path}"
    if _WANTS_OURS.search(said):
        return (
            f"{address} requires a certificate of this client, or another one: give certificate= "
            "and private_key=, issued by an authority that the server trusts"
        )
    if _PLAIN.search(said):
        return f"{address} is not encrypted: use {plain}, or the encrypted port"
    if _EXPIRED.search(said):
        return f"the certificate of {address} has expired: its server needs a new one"
    if _EARLY.search(said):
        return f"the certificate of {address} is not valid yet: is a clock wrong, here or there?"
    if _OTHER_HOST.search(said):
        return (
            f"the certificate of {address} is for other hosts: give a URL with one of them, "
            f"or have one made that names {address.host}"
        )
    if _UNTRUSTED.search(said):
        return (
            f"the certificate of {address} is not from an authority that is trusted here: give the "
            "authority's PEM file, as ca=..., --ca or in NAIAD_CA"
        )
    if _NO_HTTP2.search(said):
        return (
            f"{address} is encrypted, but does not speak gRPC; if this is an HTTP port, the "
            f"address is https://{address.target}"
        )
    if _ANY.search(said) and not _ENDED.search(said):
        return f"no encrypted connection to {address}: the TLS handshake failed: {said}"
    return ""
