"""UIDs of results, which follow from the run and the source."""

from __future__ import annotations

from hashlib import sha256


def uid_of(run: str, *parts: str) -> str:
    """Return the UID of a part of a run: below 2.25, by SHA-256 of its texts."""
    digest = bytearray(sha256("\0".join((run, *parts)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # as a UUID of version 8, which 2.25 stands for
    digest[8] = digest[8] & 0x3F | 0x80
    return f"2.25.{int.from_bytes(digest, 'big')}"
