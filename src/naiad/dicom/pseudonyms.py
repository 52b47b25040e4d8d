"""Pseudonyms: new UIDs and patient numbers, which only the holder of the key can link to the old.

A new identifier is an HMAC-SHA256 of the old one under a key of 256 bits, so the same key gives the
same pseudonyms in any process, in any order, without a table of the identifiers seen before.
"""

from __future__ import annotations

import csv
import hmac
import io
import os
import secrets
from pathlib import Path
from typing import Final, Literal, TypeAlias

from naiad.errors import InvalidInput
from naiad.files import open_private

Kind: TypeAlias = Literal["patient", "study", "series", "instance", "frame", "other"]

_KEY_BYTES: Final = 32
_UID_BYTES: Final = 16  # an integer below 2**128, as UIDs below 2.25 are


class Pseudonyms:
    """New identifiers by the old ones.

    Attributes:
        new: the UIDs that were given out, by the original.
    """

    def __init__(self, key: bytes | None = None) -> None:
        """Use a ``key`` of 32 bytes, by default a random one that is never written."""
        self._key = secrets.token_bytes(_KEY_BYTES) if key is None else key
        self.new: dict[tuple[Kind, str], str] = {}

    def uid(self, original: str, kind: Kind = "other") -> str:
        """Return the UID that stands for ``original``, below 2.25."""
        number = int.from_bytes(self._digest("uid", original)[:_UID_BYTES], "big")
        return self.new.setdefault((kind, original), f"2.25.{number}")

    def patient(self, *identity: str) -> str:
        """Return the number that stands for a patient, of an ID, its issuer, or a name."""
        number = f"DEID-{self._digest('patient', *identity)[:8].hex().upper()}"
        return self.new.setdefault(("patient", " ".join(filter(None, identity))), number)

    def _digest(self, *parts: str) -> bytes:
        return hmac.digest(self._key, "\0".join(parts).encode(), "sha256")


def read_key(path: Path) -> bytes:
    """Return the key in a file; make one that only this user can read if there is none.

    Raises:
        InvalidInput: the file is readable to others, or has no such key.
    """
    try:
        with open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
            file.write(secrets.token_hex(_KEY_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    with open_private(path, os.O_RDONLY) as file:
        text = file.read(10 * _KEY_BYTES).decode("ascii", "replace").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise InvalidInput(
            f"{path} has no key of {2 * _KEY_BYTES} hexadecimal digits; name a file that does not "
            "exist, and it is made"
        )
    return key


class IdentityMap:
    """The file that links new identifiers to the old: ``kind,original,new``, one per line."""

    def __init__(self, path: Path) -> None:
        """Append to ``path``; read the lines that it has.

        Raises:
            InvalidInput: the file is readable to others, or cannot be written.
        """
        self.path = path
        with open_private(path, os.O_RDWR | os.O_CREAT) as file:
            text = file.read().decode("utf-8", "replace")
        self._lines = {tuple(line) for line in csv.reader(io.StringIO(text))}

    def add(self, pseudonyms: Pseudonyms) -> None:
        """Append the identifiers that the file does not have, and flush them to the disk."""
        found = [(kind, old, new) for (kind, old), new in pseudonyms.new.items()]
        missing = [line for line in found if line not in self._lines]
        if not missing:
            return
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerows([] if self._lines else [("kind", "original", "new")])
        lines.writerows(missing)
        with open_private(self.path, os.O_WRONLY | os.O_APPEND) as file:
            file.write(text.getvalue().encode())
            file.flush()
            os.fsync(file.fileno())
        self._lines.update(missing)
