"""Formats of pictures that are read, known by their first bytes; needs no image library."""

from __future__ import annotations

from typing import Final, NamedTuple


class Format(NamedTuple):
    """A format of pictures.

    Attributes:
        name: its usual name.
        pillow: Pillow's name.
        suffixes: of its files, in lower case.
    """

    name: str
    pillow: str
    suffixes: tuple[str, ...]


JPEG: Final = Format("JPEG", "JPEG", (".jpg", ".jpeg"))
PNG: Final = Format("PNG", "PNG", (".png",))
WEBP: Final = Format("WebP", "WEBP", (".webp",))
TIFF: Final = Format("TIFF", "TIFF", (".tif", ".tiff"))
AVIF: Final = Format("AVIF", "AVIF", (".avif",))
HEIC: Final = Format("HEIC", "HEIF", (".heic", ".heif"))

FORMATS: Final = (JPEG, PNG, WEBP, TIFF, AVIF, HEIC)
NAMES: Final = f"{', '.join(one.name for one in FORMATS[:-1])} or {FORMATS[-1].name}"
"""All names, as they follow "a file must be a"."""
SUFFIXES: Final = tuple(suffix for one in FORMATS for suffix in one.suffixes)
"""Suffixes of all formats."""

_STARTS: Final = {
    b"\xff\xd8": JPEG,
    b"\x89PNG": PNG,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"II+\0": TIFF,  # with 64-bit offsets
    b"MM\0+": TIFF,
}
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
)

# First bytes of other files that people take for pictures.
_OTHERS: Final = {
    b"GIF8": "a GIF",
    b"RIFF": "a RIFF file other than WebP",
    b"BM": "a BMP",
    b"%PDF": "a PDF",
    b"<": "text, perhaps SVG or HTML",
    b"\0\x05\x16\x07": "not a picture but what macOS keeps beside one (._ files)",
}


def format_of(data: bytes) -> Format | None:
    """Return the format that a file claims to have, or None for any other."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp":
        size = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, size, 4))}
        if brands & _AVIF_BRANDS:
            return AVIF
        return HEIC if brands & _HEIC_BRANDS else None
    return next((one for start, one in _STARTS.items() if data.startswith(start)), None)


def other(data: bytes) -> str:
    """Return in words what a file of none of the formats seems to be."""
    if data[4:8] == b"ftyp":
        return "a video or another MP4 file"
    for start, what in _OTHERS.items():
        if data.startswith(start):
            return what
    return f"not a readable image (it begins with {data[:8]!r})"
