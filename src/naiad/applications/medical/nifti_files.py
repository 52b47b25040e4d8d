"""NIfTI files on disk: single files, and pairs of ``.hdr`` and ``.img``, read as one file.

Needs no nibabel, as a client only sends bytes.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from naiad.errors import InvalidInput
from naiad.files import read_file

HEADERS: Final = (".hdr", ".hdr.gz")
IMAGES: Final = (".img", ".img.gz")
SUFFIXES: Final = (".nii", ".nii.gz", *HEADERS, *IMAGES)
"""Endings of files in lower case."""

_START: Final = 1 << 16  # bytes that have any header, even compressed
_GZIP: Final = b"\x1f\x8b"
# By the first number of a header: its magic in a pair and in a single file, where that is, and the
# type and place of the voxels' offset.
_LAYOUTS: Final = {
    348: (b"ni1\0", b"n+1\0", 344, "f", 108),
    540: (b"ni2\0\r\n\x1a\n", b"n+2\0\r\n\x1a\n", 4, "q", 168),
}


def find_scans(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield paths with each pair once, as its header; an image without a header stays itself."""
    seen: set[Path] = set()
    for path in paths:
        header = _partner(path, HEADERS) if path.name.lower().endswith(IMAGES) else None
        found = header or path
        if found not in seen:
            seen.add(found)
            yield found


def read_nifti(path: Path, most: int) -> bytes:
    """Return a file of up to ``most`` bytes; a pair, of which either is given, as one file.

    Raises:
        InvalidInput: a file cannot be read or is too large, or the other of the pair is missing.
    """
    name = path.name.lower()
    if name.endswith(IMAGES):
        header = _partner(path, HEADERS)
        if header is None:
            raise InvalidInput(f"{path} has no header; put the .hdr file beside it")
        return _joined(header, path, most)
    if name.endswith(HEADERS):
        image = _partner(path, IMAGES)
        if image is None:
            raise InvalidInput(f"{path} has no voxels; put the .img file beside it")
        return _joined(path, image, most)
    return read_file(path, most)


def read_start(path: Path) -> bytes:
    """Return the first bytes of a file, compressed or not; of a pair, its header as of one file.

    Raises:
        InvalidInput: it cannot be read.
    """
    name = path.name.lower()
    if name.endswith(HEADERS):
        return _as_single(_plain(path, _START), path)[0]
    try:
        with path.open("rb") as file:
            return file.read(_START)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error


def is_whole(path: Path) -> bool:
    """Return whether a file is a scan by its name: not a header or image on its own."""
    name = path.name.lower()
    ends = IMAGES if name.endswith(HEADERS) else HEADERS if name.endswith(IMAGES) else None
    return ends is None or _partner(path, ends) is not None


def _partner(path: Path, endings: tuple[str, ...]) -> Path | None:
    """Return the file of the same stem with one of the endings, in either case."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    stem = name[:-4]
    for ending in endings:
        for cased in (ending, ending.upper()):
            if (found := path.with_name(stem + cased)).is_file():
                return found
    return None


def _joined(header_path: Path, image_path: Path, most: int) -> bytes:
    header, start = _as_single(_plain(header_path, most), header_path)
    image = _plain(image_path, most)
    if not 0 <= start <= len(image):
        raise InvalidInput(f"{image_path} has its voxels at byte {start:,.0f}, after its end")
    return header + image[int(start) :]


def _as_single(header: bytes, path: Path) -> tuple[bytes, float]:
    """Return the header of a pair as that of a single file, and the voxels' offset in the image."""
    for order in "<>":
        (size,) = struct.unpack(f"{order}i", header[:4].ljust(4, b"\0"))
        if size in _LAYOUTS and len(header) >= size:
            break
    else:
        raise InvalidInput(f"{path} is not a NIfTI header")
    pair, single, magic, kind, place = _LAYOUTS[size]
    if header[magic : magic + len(pair)] != pair:
        raise InvalidInput(
            f"{path} is the header of an Analyze 7.5 pair, which does not record how the scan "
            "lies; convert it to NIfTI"
        )
    joined = bytearray(header[:size])
    joined[magic : magic + len(single)] = single
    (start,) = struct.unpack_from(f"{order}{kind}", joined, place)
    struct.pack_into(f"{order}{kind}", joined, place, size + 4)
    return bytes(joined) + bytes(4), start


def _plain(path: Path, most: int) -> bytes:
    data = read_file(path, most)
    if not data.startswith(_GZIP):
        return data
    try:
        with gzip.open(path) as file:
            found = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} is a damaged gzip file: {error}") from error
    if len(found) > most:
        raise InvalidInput(
            f"{path} has over {most:,} bytes uncompressed; the server takes {most:,}"
        )
    return found
