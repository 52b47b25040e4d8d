"""NIfTI volumes (``.nii`` and ``.nii.gz``, CT and MR scans) from bytes and to bytes.

A header is checked before anything is allocated, and a compressed file is read little further than
its header says, so neither a header of a terabyte nor a decompression bomb costs memory.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical.geometry import Forms, Geometry, geometry_of, set_forms
from naiad.applications.medical.gunzip import MAGIC, Gunzip
from naiad.core.schema import Array
from naiad.errors import InvalidInput, MissingExtra

try:
    from isal import igzip
    from nibabel.nifti1 import Nifti1Header, Nifti1Image
    from nibabel.nifti2 import Nifti2Header, Nifti2Image
except ImportError as error:
    raise MissingExtra("nifti", error.name or "nibabel") from error

MAX_BYTES: Final = 1 << 30
"""Default maximum size of a volume, uncompressed: 512 x 512 x 2,048 voxels of 16 bits."""

_HEADERS: Final = {348: Nifti1Header, 540: Nifti2Header}  # by their first number
_LARGEST_HEADER: Final = max(_HEADERS)
_LARGEST_GAP: Final = 16 << 20  # bytes between header and voxels: extensions
_LARGEST_REST: Final = 16 << 20  # bytes after the last voxel that are read, up to the checksum
_NESTED: Final = 2  # gzip files within each other, as programs leave that compress what is
_CHUNK: Final = 1 << 20
_COMPRESSION: Final = 1  # of ISA-L's 0 to 3
_WRITTEN: Final = tuple(
    [f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")] + ["float32", "float64"]
)
_CONVERTED: Final = {"bool": np.uint8, "float16": np.float32}
_LONGEST_AXIS: Final = 32_767  # in NIfTI-1
_FLOAT_MAX: Final = float(np.finfo(np.float32).max)
# Keep nibabel's repairs out of the log: `geometry_of` reports those that concern the user.
_QUIET: Final = logging.Logger("nibabel", logging.CRITICAL)

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
    MAGIC: "a gzip file in gzip files",
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
        forms: geometric fields of the file's header, which :func:`write` takes for files that
            shall lie on this scan in every program.
        notes: contradictions in the header, each with what was taken.
    """

    stored: Array
    slope: float
    inter: float
    affine: NDArray[np.float64]
    forms: Forms | None = None
    notes: tuple[str, ...] = ()

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
    """The fields of a checked header that reading needs; ``shape`` has four axes."""

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    geometry: Geometry

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        return self.count * self.dtype.itemsize


def read(data: bytes, *, name: str = "volume", max_bytes: int = MAX_BYTES) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file with one 3D volume, gzipped or not.

    Further axes of length 1 are dropped, and bytes after the voxels ignored. An uncompressed file
    is not copied: ``stored`` is a view of ``data``.

    Args:
        data: the whole file.
        name: its name in messages.
        max_bytes: maximum size of its voxels, uncompressed.

    Raises:
        InvalidInput: the file is not NIfTI, is truncated or damaged, is not 3D, is too large, does
            not have real numbers, or has a number that is not finite; says what is right.
    """
    (volume,) = _volumes(data, name, max_bytes, one=True)
    return volume


def read_volumes(data: bytes, *, name: str = "volume", max_bytes: int = MAX_BYTES) -> list[Volume]:
    """Read the 3D volumes of a file with a fourth axis, such as channels; see :func:`read`.

    Raises:
        InvalidInput: as of :func:`read`; it may be 4D, or 5D with a fourth axis of length 1.
    """
    return _volumes(data, name, max_bytes, one=False)


def count_volumes(start: bytes, *, name: str = "volume") -> int:
    """Return the number of volumes in a file, by its first bytes (64 KiB suffice).

    Raises:
        InvalidInput: these are not of a NIfTI file, or its header is wrong.
    """
    begun, _ = _opened(start, name)
    return _shape(_parsed(begun, name), name, one=False)[3]


def write(
    voxels: Array, affine: Array, *, forms: Forms | None = None, compress: bool = True
) -> bytes:
    """Encode a volume as a NIfTI file, gzipped by default.

    Args:
        voxels: ``[x, y, z]``: integers, float32 or float64, written as they are; float16 becomes
            float32, and bool uint8.
        affine: from voxel indices to millimetres, ``[4, 4]``.
        forms: of a volume on whose grid the file is, in place of ``affine``.

    Raises:
        InvalidInput: another dtype or number of axes.
    """
    voxels = voxels.astype(_CONVERTED.get(voxels.dtype.name, voxels.dtype), copy=False)
    if voxels.ndim != 3 or voxels.dtype.name not in _WRITTEN:
        raise InvalidInput(
            f"the volume is {voxels.dtype} {list(voxels.shape)}; it must be {', '.join(_WRITTEN)} "
            "with 3 axes"
        )
    kind = Nifti1Image if max(voxels.shape) <= _LONGEST_AXIS else Nifti2Image
    # nibabel takes 64-bit integers only of those who say that they mean it.
    image = kind(voxels, np.asarray(affine, np.float64), dtype=voxels.dtype)
    data = image.to_bytes()
    if forms is not None:
        header = image.header.from_fileobj(BytesIO(data))
        set_forms(header, forms)
        block = header.binaryblock
        data = block + data[len(block) :]
    return igzip.compress(data, _COMPRESSION, mtime=0) if compress else data


def _volumes(data: bytes, name: str, max_bytes: int, *, one: bool) -> list[Volume]:
    if not data:
        raise InvalidInput(f"{name} is empty; it must be a NIfTI file (.nii or .nii.gz)")
    start, more = _opened(data, name)
    header = _header(start, name, max_bytes, one=one)
    if more is not None:
        stored = _stream(more, start, header, name)
    else:
        there = max(0, len(data) - header.offset)
        if there < header.size:
            raise _truncated(name, there, header)
        stored = np.frombuffer(data, header.dtype, header.count, header.offset)
    stored, place = stored.reshape(header.shape, order="F"), header.geometry
    scale = (header.slope, header.inter, place.affine, place.forms, place.notes)
    volumes = [Volume(stored[..., number], *scale) for number in range(header.shape[3])]
    for number, volume in enumerate(volumes):
        _check_finite(volume, name if len(volumes) == 1 else f"{name}, volume {number}")
    return volumes


def _opened(data: bytes, name: str) -> tuple[bytes, Callable[[int], bytes] | None]:
    """Return the first bytes of a file, and the rest's reader if it is compressed."""
    start, more = data[:_LARGEST_HEADER], None
    if start.startswith(MAGIC):
        more = BytesIO(data).read
        start = b""
        for _ in range(_NESTED):
            more = Gunzip(_prefixed(start, more), name).read
            start = _first(more)
            if not start.startswith(MAGIC):
                break
    return start, more


def _prefixed(start: bytes, more: Callable[[int], bytes]) -> Callable[[int], bytes]:
    waiting = [start] if start else []
    return lambda most: waiting.pop() if waiting else more(most)


def _first(more: Callable[[int], bytes]) -> bytes:
    start = b""
    while len(start) < _LARGEST_HEADER and (found := more(_LARGEST_HEADER - len(start))):
        start += found
    return start


def _stream(more: Callable[[int], bytes], start: bytes, header: _Header, name: str) -> Array:
    """Read the voxels of a compressed file after its ``start``; check its checksum.

    The checksum is at its end: it is not checked if much follows on the voxels.
    """
    buffer = np.empty(header.size, np.uint8)
    early = np.frombuffer(start[header.offset :], np.uint8)[: header.size]
    buffer[: len(early)] = early
    gap, filled = header.offset - len(start), len(early)
    while gap > 0:
        gap -= len(_some(more, gap, name, 0, header))
    while filled < header.size:
        found = _some(more, header.size - filled, name, filled, header)
        buffer[filled : filled + len(found)] = np.frombuffer(found, np.uint8)
        filled += len(found)
    rest = _LARGEST_REST
    while rest > 0 and (found := more(min(rest, _CHUNK))):
        rest -= len(found)
    return buffer.view(header.dtype)


def _some(
    more: Callable[[int], bytes], most: int, name: str, filled: int, header: _Header
) -> bytes:
    found = more(min(most, _CHUNK))
    if not found:
        raise _truncated(name, filled, header)
    return found


def _truncated(name: str, there: int, header: _Header) -> InvalidInput:
    shape = " x ".join(str(size) for size in header.shape[: 3 + (header.shape[3] > 1)])
    return InvalidInput(
        f"{name} is truncated: it has {there:,} of the {header.size:,} bytes that {shape} voxels "
        f"of {header.dtype.name} are; send the whole file (numpy's S dtype drops NUL bytes at the "
        "end: use object)"
    )


def _header(start: bytes, name: str, max_bytes: int, *, one: bool) -> _Header:
    """Read and check a header without allocating anything."""
    raw = _parsed(start, name)
    shape = _shape(raw, name, one=one)
    offset, least = raw["vox_offset"].item(), raw.single_vox_offset
    # Some programs leave 0, and others put no extension flag between header and voxels.
    if 0 <= offset < least and offset != raw.sizeof_hdr:
        offset = least
    if not raw.sizeof_hdr <= offset <= least + _LARGEST_GAP:
        raise InvalidInput(
            f"{name} has its voxels at byte {offset:,.0f}; they must begin between bytes "
            f"{least:,} and {least + _LARGEST_GAP:,}"
        )
    header = raw.copy()
    header["vox_offset"] = least  # a lower one would end the check
    try:
        header.check_fix(_QUIET)
        dtype = header.get_data_dtype()
        slope, inter = header.get_slope_inter()
    except Exception as error:  # nibabel's checks raise anything
        raise InvalidInput(f"{name} has an invalid header: {error}") from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise InvalidInput(
            f"{name} has voxels of {header.get_value_label('datatype')}; they must be real numbers "
            "of 8 to 64 bits"
        )
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        text = " x ".join(f"{length:,}" for length in shape[: 3 + (shape[3] > 1)])
        raise InvalidInput(
            f"{name} claims {text} voxels of {dtype.name}, {size:,} bytes; a volume may have "
            f"{max_bytes:,}: crop or resample it"
        )
    return _Header(
        shape,
        dtype,
        int(offset),
        1.0 if slope is None else float(slope),
        0.0 if inter is None else float(inter),
        geometry_of(raw, header, name),
    )


def _parsed(start: bytes, name: str) -> Any:
    """Return nibabel's header, as in the file."""
    kind = next(
        (kind for kind in _HEADERS.values() if kind.may_contain_header(start)),
        None,
    )
    if kind is None:
        raise InvalidInput(f"{name} is {_kind(start)}; it must be a NIfTI file (.nii or .nii.gz)")
    try:
        header = kind(start[: kind.sizeof_hdr], check=False)
    except Exception as error:  # nibabel's own
        raise InvalidInput(f"{name} has an invalid header: {error}") from error
    if not header["magic"].tobytes().startswith(b"n+"):
        raise InvalidInput(
            f"{name} is the header of a pair of files (.hdr and .img); send one file (.nii)"
        )
    return header


def _shape(header: Any, name: str, *, one: bool) -> tuple[int, int, int, int]:
    """Return the lengths of the axes in space, and the number of volumes."""
    axes = int(header["dim"][0])
    shape = [int(size) for size in header["dim"][1 : axes + 1]]
    if any(size < 1 for size in shape):
        raise InvalidInput(f"{name} has shape {shape}; every axis must have a voxel")
    more = [size for size in shape[3:] if size > 1]
    if len(shape) < 3 or len(more) > (0 if one else 1):
        hint = "; send its volumes one by one" if more else ""
        raise InvalidInput(f"{name} is {len(shape)}D {shape}; it must be one 3D volume{hint}")
    return cast(tuple[int, int, int, int], (*shape[:3], *(more or [1])))


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
