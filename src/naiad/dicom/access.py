"""Credentials for an archive: from the environment or a file, never from the command line."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from naiad.core.fields import setting
from naiad.errors import InvalidInput

USER_VARIABLE: Final = "NAIAD_PACS_USER"
"""``NAME:PASSWORD`` for basic authentication."""
TOKEN_VARIABLE: Final = "NAIAD_PACS_TOKEN"
"""A bearer token."""
_HERE: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ArchiveAccess:
    """Credentials and limits of connections to an archive. Fields are options of commands."""

    pacs_auth: Path | None = setting(
        None,
        "File with NAME:PASSWORD, or a bearer token, for the archive; by default $NAIAD_PACS_USER "
        "or $NAIAD_PACS_TOKEN is used.",
        metavar="FILE",
    )
    pacs_ca: Path | None = setting(
        None,
        "PEM file of the certificate authority to trust for the archive; by default the system's.",
        metavar="FILE",
    )
    pacs_timeout: float = setting(
        60.0, "Maximum time without a byte from the archive.", unit="s", above=0
    )
    pacs_retries: int = setting(
        3, "Number of times that a request to the archive is tried again.", min=0
    )

    def headers_to(self, url: str) -> dict[str, str]:
        """Return the header that authenticates, if credentials are given.

        Raises:
            InvalidInput: the file cannot be read or is empty, both variables are set, or the
                credentials would leave this host unencrypted.
        """
        found = self._header()
        if found is None:
            return {}
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _HERE:
            raise InvalidInput(
                f"the credentials for {url} would travel unencrypted, where anyone on the way can "
                "read them: use https"
            )
        return {"Authorization": found}

    def _header(self) -> str | None:
        if self.pacs_auth is not None:
            try:
                text = self.pacs_auth.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidInput(f"--pacs-auth {self.pacs_auth}: {error}") from None
            return _authorization(text, f"--pacs-auth {self.pacs_auth}", basic=":" in text)
        user, token = os.environ.get(USER_VARIABLE, ""), os.environ.get(TOKEN_VARIABLE, "")
        if user and token:
            raise InvalidInput(f"set {USER_VARIABLE} or {TOKEN_VARIABLE}, not both")
        if user:
            return _authorization(user.strip(), USER_VARIABLE, basic=True)
        return _authorization(token.strip(), TOKEN_VARIABLE, basic=False) if token else None


def _authorization(text: str, where: str, *, basic: bool) -> str:
    if not text or not text.isprintable() or (basic and ":" not in text):
        wanted = "NAME:PASSWORD" if basic else "a token"
        raise InvalidInput(f"{where} must have {wanted}, on one line")
    if basic:
        return "Basic " + b64encode(text.encode()).decode()
    if not text.isascii() or " " in text:
        raise InvalidInput(f"{where} must have a token of ASCII characters, without spaces")
    return f"Bearer {text}"
