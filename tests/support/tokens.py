"""An issuer of JSON Web Tokens: keys, their public halves, and signed tokens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "https://issuer.example.org"


class Issuer:
    """An issuer with an RSA or elliptic-curve key, which its JWKS has."""

    def __init__(self, kind: str = "RS256", name: str = "one") -> None:
        self.kind, self.name = kind, name
        if kind == "RS256":
            self._key: Any = rsa.generate_private_key(65537, 2048)
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> dict[str, Any]:
        algorithm: Any = jwt.get_algorithm_by_name(self.kind)
        found = algorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {**found, "kid": self.name, "alg": self.kind, "use": "sig"}

    def token(self, **changes: Any) -> str:
        """Return a token valid for a minute; claims that are None are left out."""
        claims = {"iss": ISSUER, "sub": "zoe", "exp": int(time.time()) + 60, **changes}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self._key, self.kind, headers={"kid": self.name})


def write_jwks(path: Path, *issuers: Issuer) -> Path:
    """Write the public keys of issuers."""
    path.write_text(json.dumps({"keys": [issuer.public for issuer in issuers]}))
    return path
