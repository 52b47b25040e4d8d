"""Gzip streams, decompressed no further than they are read; ISA-L is about three times zlib."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, cast

from naiad.errors import InvalidInput, MissingExtra

try:
    from isal import igzip_lib
except ImportError as error:
    raise MissingExtra("nifti", error.name or "isal") from error

MAGIC: Final = b"\x1f\x8b"
"""The first bytes of a gzip file."""

_DAMAGED: Final = cast(type[Exception], igzip_lib.error)  # an instance by isal's stubs
_CHUNK: Final = 1 << 18
# Clients that send numpy's S dtype lose NUL bytes at the end of a file, where a gzip file has the
# upper bytes of its length.
_PADDING: Final = bytes(8)


class Gunzip:
    """The content of a gzip file, of one member or several.

    Bytes after the last member are ignored, as by gzip itself and by zlib.
    """

    def __init__(self, source: Callable[[int], bytes], name: str) -> None:
        """Read from ``source``, which takes a number of bytes and returns at most as many.

        Args:
            source: returns ``b""`` at the end.
            name: of the file, in messages.
        """
        self._source, self._name = source, name
        self._waiting, self._padding, self._size = b"", _PADDING, 0
        self._member = _member()

    def read(self, most: int) -> bytes:
        """Return up to ``most`` bytes of content; ``b""`` at the end.

        Raises:
            InvalidInput: the file is truncated or damaged.
        """
        while not self._member.eof or self._begun():
            given = self._given() if self._member.needs_input else b""
            try:
                found = self._member.decompress(given, most)
            except _DAMAGED as error:
                said = re.sub(r"^Error -\d+ ", "", str(error))
                raise InvalidInput(f"{self._name} is a damaged gzip file: {said}") from error
            if found:
                return found
        return b""

    def _given(self) -> bytes:
        """Return compressed bytes, at the end of the file the missing NUL bytes."""
        given, self._waiting = self._waiting or self._next(), b""
        if not given:
            given, self._padding = self._padding, b""
        if not given:
            raise InvalidInput(
                f"{self._name} is a truncated gzip file ({self._size:,} bytes); send the whole file"
            )
        return given

    def _begun(self) -> bool:
        """Begin the next member, if there is one."""
        rest = self._member.unused_data.lstrip(b"\0")
        if len(rest) < len(MAGIC):
            rest = (rest + self._next()).lstrip(b"\0")
        if not rest.startswith(MAGIC):
            return False
        self._waiting, self._member = rest, _member()
        return True

    def _next(self) -> bytes:
        found = self._source(_CHUNK)
        self._size += len(found)
        return found


def _member() -> igzip_lib.IgzipDecompressor:
    return igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
