"""NIfTI volumes (``.nii`` and ``.nii.gz``, CT and MR scans) from bytes and to bytes.

A header is checked before anything is allocated, and a compressed file is read no further than its
header says, so neither a header of a terabyte nor a decompression bomb costs memory. nibabel reads
headers; ISA-L (``isal``) reads compressed files, about three times as fast as zlib.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, RawIOBase
from typing import IO, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import Array
from naiad.errors import InvalidInput, MissingExtra

try:
    from isal import igzip
    from isal.igzip_lib import IsalError
    from nibabel.nifti1 import Nifti1Header, Nifti1Image
    from nibabel.nifti2 import Nifti2Header
except ImportError as error:
    raise MissingExtra("nifti", error.name or "nibabel") from error

MAX_BYTES: Final = 1 << 30
"""Default maximum size of a volume, uncompressed: 512 x 512 x 2,048 voxels of 16 bits."""

_GZIP: Final = b"\x1f\x8b"
_HEADERS: Final = {348: Nifti1Header, 540: Nifti2Header}  # by their first number
_LARGEST_HEADER: Final = max(_HEADERS)
_LARGEST_GAP: Final = 16 << 20  # bytes between header and voxels: extensions
_LARGEST_REST: Final = 1 << 16  # bytes after the last voxel: some programs leave padding
_CHUNK: Final = 1 << 20
_COMPRESSION: Final = 1  # of ISA-L's 0 to 3
_WRITTEN: Final = ("uint8", "int16", "int32", "uint16", "float32", "float64")
_FLOAT_MAX: Final = float(np.finfo(np.float32).max)
# isal's stubs declare the last as an instance.
_DAMAGED: Final = cast(tuple[type[Exception], ...], (EOFError, OSError, IsalError))

# The first bytes of other files, to tell people what they have sent.
_KINDS: Final = {
    b"PK\x03\x04": "a zip archive",
    b"\xff\xd8": "a JPEG",
    b"\x89PNG": "a PNG",
    b"\x89HDF": "an HDF5 (or MINC) file",
    b"NRRD": "an NRRD file",
    b"ObjectType": "a MetaImage header",
    b"%PDF": "a PDF",
    b"<": "text, perhaps HTML",
    b"{": "text, perhaps JSON",
}


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A scan.

    Attributes:
        stored: the numbers in the file, in their own dtype (integers or floats), ``[x, y, z]``. The
            first axis is contiguous in memory, as in the file.
        slope, inter: a voxel's value is ``slope * stored + inter``.
        affine: from voxel indices to millimetres, right, anterior and superior of the scanner's
            origin: float64 ``[4, 4]``.
    """

    stored: Array
    slope: float
    inter: float
    affine: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        return cast(tuple[int, int, int], self.stored.shape)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along each axis, in millimetres."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return cast(tuple[float, float, float], tuple(lengths))

    def voxels(self) -> NDArray[np.float32]:
        """Return the values (Hounsfield units in a CT scan): a new float32 array ``[x, y, z]``."""
        return self.scaled(self.stored)

    def scaled(self, stored: Array) -> NDArray[np.float32]:
        """Return the values of a part of ``stored``: a new float32 array."""
        values = stored.astype(np.float32)
        if self.slope != 1:
            values *= np.float32(self.slope)
        if self.inter:
            values += np.float32(self.inter)
        return values


@dataclass(frozen=True, slots=True)
class _Header:
    """The fields of a checked header that reading needs."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    affine: NDArray[np.float64]

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        return self.count * self.dtype.itemsize


def read(data: bytes, *, name: str = "volume", max_bytes: int = MAX_BYTES) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file with one 3D volume, gzipped or not.

    A fourth axis of length 1 is dropped. An uncompressed file is not copied: ``stored`` is a view
    of ``data``.

    Args:
        data: the whole file.
        name: its name in messages.
        max_bytes: maximum size of its voxels, uncompressed.

    Raises:
        InvalidInput: the file is not NIfTI, is truncated or damaged, is not 3D, is too large, does
            not have real numbers, or has a number that is not finite; says what is right.
    """
    if not data:
        raise InvalidInput(f"{name} is empty; it must be a NIfTI file (.nii or .nii.gz)")
    if data[:2] == _GZIP:
        with _decompressed(data, name) as file:
            start = file.read(_LARGEST_HEADER)
            header = _header(start, name, max_bytes)
            stored = _stream(file, start, header, name)
    else:
        header = _header(data[:_LARGEST_HEADER], name, max_bytes)
        there = max(0, len(data) - header.offset)
        if there < header.size:
            raise _truncated(name, there, header)
        stored = np.frombuffer(data, header.dtype, header.count, header.offset)
    volume = Volume(
        stored.reshape(header.shape, order="F"), header.slope, header.inter, header.affine
    )
    _check_finite(volume, name)
    return volume


def write(voxels: Array, affine: Array, *, compress: bool = True) -> bytes:
    """Encode a volume as a NIfTI-1 file, gzipped by default.

    Args:
        voxels: ``[x, y, z]``, of a dtype that programs commonly read: uint8, int16, int32, uint16,
            float32 or float64.
        affine: from voxel indices to millimetres, ``[4, 4]``.

    Raises:
        InvalidInput: another dtype or number of axes.
    """
    if voxels.ndim != 3 or voxels.dtype.name not in _WRITTEN:
        raise InvalidInput(
            f"the volume is {voxels.dtype} {list(voxels.shape)}; it must be {', '.join(_WRITTEN)} "
            "with 3 axes"
        )
    image = Nifti1Image(voxels, np.asarray(affine, np.float64))
    data = image.to_bytes()
    return igzip.compress(data, _COMPRESSION, mtime=0) if compress else data


class _Padded(RawIOBase):
    """A compressed file padded with NUL bytes.

    Clients that send numpy's ``S`` dtype lose those at the end of a file, where a gzip file has the
    upper bytes of its length.
    """

    def __init__(self, data: bytes) -> None:
        self._file, self._padding = BytesIO(data), BytesIO(bytes(8))

    @property
    def ended(self) -> bool:
        """Whether a read went beyond the end of the file."""
        return self._padding.tell() > 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer) or self._padding.readinto(buffer)


@contextmanager
def _decompressed(data: bytes, name: str) -> Generator[IO[bytes], None, None]:
    source = _Padded(data)
    try:
        with igzip.IGzipFile(fileobj=cast(IO[bytes], source), mode="rb") as file:
            yield cast(IO[bytes], file)
    except _DAMAGED as error:
        if source.ended:
            raise InvalidInput(
                f"{name} is a truncated gzip file ({len(data):,} bytes); send the whole file"
            ) from error
        raise InvalidInput(f"{name} is a damaged gzip file: {error}") from error


def _stream(file: IO[bytes], start: bytes, header: _Header, name: str) -> Array:
    """Read the voxels of a compressed file after its ``start``; check its checksum."""
    buffer = np.empty(header.size, np.uint8)
    early = np.frombuffer(start[header.offset :], np.uint8)[: header.size]
    buffer[: len(early)] = early
    gap, filled = header.offset - len(start), len(early)
    while gap > 0:
        gap -= len(_some(file, gap, name, 0, header))
    while filled < header.size:
        found = _some(file, header.size - filled, name, filled, header)
        buffer[filled : filled + len(found)] = np.frombuffer(found, np.uint8)
        filled += len(found)
    if len(file.read(_LARGEST_REST + 1)) > _LARGEST_REST:
        raise InvalidInput(
            f"{name} continues after the {header.size:,} bytes of voxels that its header states"
        )
    return buffer.view(header.dtype)


def _some(file: IO[bytes], most: int, name: str, filled: int, header: _Header) -> bytes:
    found = file.read(min(most, _CHUNK))
    if not found:
        raise _truncated(name, filled, header)
    return found


def _truncated(name: str, there: int, header: _Header) -> InvalidInput:
    shape = " x ".join(str(size) for size in header.shape)
    return InvalidInput(
        f"{name} is truncated: it has {there:,} of the {header.size:,} bytes that {shape} voxels "
        f"of {header.dtype.name} are; send the whole file (numpy's S dtype drops NUL bytes at the "
        "end: use object)"
    )


def _header(start: bytes, name: str, max_bytes: int) -> _Header:
    """Read and check a header without allocating anything."""
    header = _parsed(start, name)
    shape = _shape(header, name)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InvalidInput(
            f"{name} has voxels of {header.get_value_label('datatype')}; they must be real numbers "
            "of 8 to 64 bits"
        )
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        text = " x ".join(f"{length:,}" for length in shape)
        raise InvalidInput(
            f"{name} claims {text} voxels of {dtype.name}, {size:,} bytes; a volume may have "
            f"{max_bytes:,}: crop or resample it"
        )
    offset, least = header["vox_offset"].item(), header.single_vox_offset
    if not least <= offset <= least + _LARGEST_GAP:
        raise InvalidInput(
            f"{name} has its voxels at byte {offset:,.0f}; they must begin between bytes "
            f"{least:,} and {least + _LARGEST_GAP:,}"
        )
    try:
        slope, inter = header.get_slope_inter()
        affine = np.asarray(header.get_best_affine(), np.float64)
    except Exception as error:  # nibabel's own
        raise InvalidInput(f"{name} has an invalid header: {error}") from error
    if not np.isfinite(affine).all():
        raise InvalidInput(f"{name} has an affine with numbers that are not finite")
    return _Header(
        shape,
        dtype,
        int(offset),
        1.0 if slope is None else float(slope),
        0.0 if inter is None else float(inter),
        affine,
    )


def _parsed(start: bytes, name: str) -> Any:
    kind = next(
        (kind for kind in _HEADERS.values() if kind.may_contain_header(start)),
        None,
    )
    if kind is None:
        raise InvalidInput(f"{name} is {_kind(start)}; it must be a NIfTI file (.nii or .nii.gz)")
    block = start[: kind.sizeof_hdr]
    try:
        header = kind(block, check=True)
    except Exception as error:  # nibabel's checks raise anything
        raise InvalidInput(f"{name} has an invalid header: {error}") from error
    if not header["magic"].tobytes().startswith(b"n+"):
        raise InvalidInput(
            f"{name} is the header of a pair of files (.hdr and .img); send one file (.nii)"
        )
    return header


def _shape(header: Any, name: str) -> tuple[int, int, int]:
    axes = int(header["dim"][0])
    shape = [int(size) for size in header["dim"][1 : axes + 1]]
    if any(size < 1 for size in shape):
        raise InvalidInput(f"{name} has shape {shape}; every axis must have a voxel")
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) != 3:
        hint = "; send its volumes one by one" if len(shape) > 3 else ""
        raise InvalidInput(f"{name} is {len(shape)}D {shape}; it must be one 3D volume{hint}")
    return cast(tuple[int, int, int], tuple(shape))


def _check_finite(volume: Volume, name: str) -> None:
    """Refuse NaN, infinity, and values outside the range of float32."""
    stored = volume.stored
    if stored.dtype.kind == "f":
        low, high = float(stored.min()), float(stored.max())  # NaN if there is one
        if not (math.isfinite(low) and math.isfinite(high)):
            flat = stored.reshape(-1, order="F")
            wrong = next(
                start + int((~np.isfinite(part)).argmax())
                for start in range(0, flat.size, _CHUNK)
                if not np.isfinite(part := flat[start : start + _CHUNK]).all()
            )
            at = np.unravel_index(wrong, stored.shape, order="F")
            place = ", ".join(str(int(index)) for index in at)
            raise InvalidInput(f"{name}: voxel [{place}] is {flat[wrong]}; it must be finite")
    else:
        limits = np.iinfo(stored.dtype)
        low, high = limits.min, limits.max
    for extreme in (low, high):
        value = volume.slope * extreme + volume.inter
        if not abs(value) <= _FLOAT_MAX:
            raise InvalidInput(
                f"{name} has values up to {value:g} (slope {volume.slope:g}); they must fit float32"
            )


def _kind(start: bytes) -> str:
    """Describe the apparent kind of a file."""
    if start[128:132] == b"DICM":
        return "a DICOM file"
    for beginning, what in _KINDS.items():
        if start.startswith(beginning):
            return what
    return f"no NIfTI file (it begins with {start[:8]!r})"
