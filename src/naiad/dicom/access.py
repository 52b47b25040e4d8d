"""Credentials for an archive: from the environment or files, never from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from naiad.core.fields import setting

USER_VARIABLE: Final = "NAIAD_PACS_USER"
"""``NAME:PASSWORD`` for basic authentication."""
TOKEN_VARIABLE: Final = "NAIAD_PACS_TOKEN"
"""A bearer token."""


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
        None, "PEM file of the certificate authority to trust for the archive.", metavar="FILE"
    )
    pacs_timeout: float = setting(
        60.0, "Maximum time without a byte from the archive.", unit="s", above=0
    )
    pacs_retries: int = setting(
        3, "Number of times that a request to the archive is tried again.", min=0
    )
