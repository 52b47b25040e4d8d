"""The parts of picture files that make the picture; text, colour profiles and EXIF are left out.

Decoders read such metadata too, and refuse a whole picture for a value in it that nobody asked for.
So only what the pixels depend on reaches them; of EXIF, the orientation is read here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from naiad.image_formats import AVIF, HEIC, JPEG, PNG, TIFF, WEBP, Format


@dataclass(frozen=True, slots=True)
class Parts:
    """A picture without its metadata.

    Attributes:
        data: the file without them.
        orientation: of EXIF, 1 to 8; 1 for upright, also where the decoder itself turns it.
        size: width and height in pixels, where the decoder would allocate before it tells them.
        bits: per colour, where the format is JPEG or PNG; else 0.
    """

    data: bytes
    orientation: int = 1
    size: tuple[int, int] | None = None
    bits: int = 0


def parts_of(data: bytes, kind: Format) -> Parts:
    """Return the parts of a file; of a damaged one those before the damage, and the rest as it is.

    Args:
        data: the file.
        kind: its format, from :func:`naiad.image_formats.format_of`.
    """
    return _READERS[kind](data)


_JPEG_BARE: Final = (0x01, *range(0xD0, 0xD8))  # markers without a length
_JPEG_LAST: Final = (0xD9, 0xDA)  # the end, or the first scan
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# APP1 to APP13, APP15 and comments. JFIF (APP0) and Adobe (APP14) tell how colours are coded.
_JPEG_METADATA: Final = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})


def _jpeg(data: bytes) -> Parts:
    kept, at, orientation, bits = [data[:2]], 2, 1, 0
    while data[at : at + 1] == b"\xff" and at + 2 <= len(data):
        marker = data[at + 1]
        if marker in _JPEG_LAST:
            break
        if marker == 0xFF:  # padding
            at += 1
            continue
        length = 0 if marker in _JPEG_BARE else int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at : at + 2 + length]
        if len(segment) < 2 + length:
            break
        if marker in _JPEG_FRAMES and length > 2:
            bits = segment[4]
        if marker == 0xE1 and segment[4:10] == b"Exif\0\0":
            orientation = exif_orientation(segment[10:])
        if marker not in _JPEG_METADATA:
            kept.append(segment)
        at += 2 + length
    return Parts(b"".join([*kept, data[at:]]), orientation, bits=bits)


def _png(data: bytes) -> Parts:
    kept, at, orientation, bits, colours = [data[:8]], 8, 1, 0, 0
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            break
        content = data[at + 8 : end - 4]
        if kind == b"IHDR" and length == 13:
            bits, colours = content[8], content[9]
        if kind == b"eXIf":
            orientation = exif_orientation(content)
        if kind == b"tRNS":
            kept.append(_transparency(content, bits, colours))
        elif not kind[0] & 0x20:  # in lower case: a picture can be shown without it
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            break
    return Parts(b"".join([*kept, data[at:]]), orientation, bits=bits)


def _transparency(content: bytes, bits: int, colours: int) -> bytes:
    """Return the chunk of the transparent colour, scaled to 8 bits as Pillow scales the pixels.

    It compares the colour as the file has it with pixels that it has scaled (seen with 13.0).
    """
    if colours == 0 and bits in (2, 4):
        content = struct.pack(">H", content[1] * 255 // (2**bits - 1)) if content[1:] else content
    if colours == 2 and bits == 16:
        content = bytes(part for high in content[0:6:2] for part in (0, high))
    body = b"tRNS" + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def _webp(data: bytes) -> Parts:
    size, orientation = None, 1
    for kind, at, end in _riff(data):
        body = data[at:end]
        if size is None:
            size = _webp_size(kind, body)
        if kind == b"EXIF":
            orientation = exif_orientation(body.removeprefix(b"Exif\0\0"))
    return Parts(data, orientation, size)


def _riff(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's kind, begin and end."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, at + 8 + length
        at += 8 + length + length % 2


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    if kind == b"VP8X" and len(body) >= 10:
        wide, high = (int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
        return wide + 1, high + 1
    if kind == b"VP8L" and len(body) >= 5:
        packed = int.from_bytes(body[1:5], "little")
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(body) >= 10:
        wide, high = struct.unpack_from("<HH", body, 6)
        return wide & 0x3FFF, high & 0x3FFF
    return None


_ORIENTATION: Final = 0x0112
# Of a page of TIFF, the tags that its pixels depend on, and its orientation.
_TIFF_TAGS: Final = frozenset(
    {
        *(254, 256, 257, 258, 259, 262, 266, 273, _ORIENTATION, 277, 278, 279, 284, 292, 293),
        *(317, 320, 322, 323, 324, 325, 332, 334, 338, 339, 347, 529, 530, 531, 532),
    }
)


@dataclass(frozen=True, slots=True)
class _Directory:
    """A TIFF's first page: its byte order, the place and the entries of its directory."""

    order: str
    big: bool
    place: int
    entries: tuple[bytes, ...]

    @classmethod
    def of(cls, data: bytes) -> _Directory | None:
        """Read it, or return None where it is not whole."""
        order = {b"II": "<", b"MM": ">"}.get(data[:2], "")
        try:
            magic = struct.unpack_from(f"{order}H", data, 2)[0] if order else 0
            if magic not in (42, 43):
                return None
            big = magic == 43
            (place,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
            (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, place)
        except (struct.error, OverflowError):
            return None
        start, size = place + (8 if big else 2), 20 if big else 12
        if start + count * size > len(data):
            return None
        places = range(start, start + count * size, size)
        return cls(order, big, place, tuple(data[at : at + size] for at in places))

    def tag(self, entry: bytes) -> int:
        """Return an entry's tag."""
        return struct.unpack_from(f"{self.order}H", entry)[0]

    def orientation(self) -> int:
        """Return the orientation, 1 to 8; 1 where it is missing or invalid."""
        for entry in self.entries:
            kind, value = struct.unpack_from(f"{self.order}2xH{'8x' if self.big else '4x'}H", entry)
            if self.tag(entry) == _ORIENTATION and kind == 3 and 1 <= value <= 8:
                return value
        return 1

    def picture(self) -> bytes:
        """Return it with the entries that make the picture, and without further pages."""
        kept = [entry for entry in self.entries if self.tag(entry) in _TIFF_TAGS]
        number, following = ("Q", bytes(8)) if self.big else ("H", bytes(4))
        return struct.pack(f"{self.order}{number}", len(kept)) + b"".join([*kept, following])


def exif_orientation(exif: bytes) -> int:
    """Return the orientation in EXIF, 1 to 8; 1 where it is missing or invalid."""
    directory = _Directory.of(exif)
    return 1 if directory is None else directory.orientation()


def _tiff(data: bytes) -> Parts:
    """Return the first page; the orientation is undone by Pillow."""
    directory = _Directory.of(data)
    if directory is None:
        return Parts(data)
    picture, place = directory.picture(), directory.place
    return Parts(data[:place] + picture + data[place + len(picture) :])


def _heif(data: bytes) -> Parts:
    """Return a HEIC or AVIF file whose EXIF is hidden; properties of the picture tell its turn."""
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        end = at + length if length else len(data)
        if length in range(1, 8) or end > len(data):
            break
        if data[at + 4 : at + 8] == b"meta":
            hidden = data[at:end].replace(b"Exif\0", b"free\0")  # the type of an item
            return Parts(data[:at] + hidden + data[end:])
        at = end
    return Parts(data)


_READERS: Final[Mapping[Format, Callable[[bytes], Parts]]] = {
    JPEG: _jpeg,
    PNG: _png,
    WEBP: _webp,
    TIFF: _tiff,
    AVIF: _heif,
    HEIC: _heif,
}
