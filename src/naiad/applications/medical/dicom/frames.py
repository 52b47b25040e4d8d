"""Frames: the slices of DICOM images, with position, orientation and scale.

A classic file has one frame. An enhanced one (multi-frame CT, MR, PET) has many; what differs by
frame is in its functional groups, per frame or shared (DICOM PS3.3, C.7.6.16).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import Array
from naiad.dicom.files import LARGEST_FILE, DicomFile, described
from naiad.errors import InvalidInput, MissingExtra

try:
    import pydicom
    from pydicom.datadict import keyword_for_tag
    from pydicom.errors import InvalidDicomError
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import iter_pixels
    from pydicom.uid import (
        UID,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )
except ImportError as error:
    raise MissingExtra("bundle-client", error.name or "pydicom") from error

# The tags that are read of a header; the pixels are read later, one file at a time.
_TAGS: Final = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Modality"),
    *("Rows", "Columns", "SamplesPerPixel", "BitsStored", "PixelRepresentation", "NumberOfFrames"),
    *("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept", "DimensionIndexSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
_SUFFIXES: Final = (".dcm", ".dicom")  # of files that claim to be DICOM
_PREAMBLE: Final = 128  # bytes before the prefix "DICM", which old programs leave out
_FIRST: Final = re.compile(rb"[\x02\x08]\0.\0|\0[\x02\x08]\0", re.DOTALL)  # tag without a preamble
_PLACES: Final = ("ImagePositionPatient", "InStackPositionNumber")  # dimensions along a stack


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A slice of an image.

    Attributes:
        file: the file it is in.
        number: its number there, from 0.
        instance: SOPInstanceUID of the file, or "".
        series: SeriesInstanceUID, or "".
        part: what tells apart the stacks, phases or echoes of an enhanced file, or ().
        modality: ``CT``, ``MR``, ...
        description: of the series, or "".
        rows, columns: number of pixels.
        samples: values per pixel.
        bits: that a stored value uses; 0 of floating-point values.
        signed: whether stored values have a sign.
        slope, intercept: a value is ``slope * stored + intercept``.
        thickness: of the slice, in millimetres.
    """

    file: DicomFile
    number: int
    instance: str
    series: str
    part: tuple[int | str, ...]
    modality: str
    description: str
    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool
    slope: float
    intercept: float
    thickness: float
    _geometry: dict[str, NDArray[np.float64]]

    def __str__(self) -> str:
        """Return the file, and the number of the frame if it is not the first."""
        return f"{self.file} (frame {self.number + 1})" if self.number else str(self.file)

    def vector(self, tag: str) -> NDArray[np.float64]:
        """Return ``ImagePositionPatient``, ``ImageOrientationPatient`` or ``PixelSpacing``.

        Raises:
            InvalidInput: the frame does not have it.
        """
        if tag not in self._geometry:
            raise InvalidInput(f"{self} has no {tag}; a slice needs its {_SIZES[tag]} numbers")
        return self._geometry[tag]


_SIZES: Final = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
# By tag: the functional group in which an enhanced file has it.
_GROUPS: Final = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}


def read_frames(file: DicomFile) -> list[Frame]:
    """Read the header of a file; return its frames, or none if it is not a DICOM image.

    Raises:
        InvalidInput: it is DICOM, but damaged, encrypted or too large; says which and why.
    """
    if file.size > LARGEST_FILE:
        raise InvalidInput(
            f"{file} unpacks to {file.size:,} bytes; a file may have {LARGEST_FILE:,}"
        )
    with file.open() as data, _silent():
        header = _header(file, data)
        return [] if header is None else list(_frames(file, header))


def read_pixels(frames: Sequence[Frame]) -> Iterator[Array]:
    """Yield the stored values of frames of one file, ``[rows, columns]``, one at a time.

    Args:
        frames: in the order of their numbers.

    Raises:
        InvalidInput: they cannot be decoded; says which and what to do.
    """
    file = frames[0].file
    with file.open() as data:
        with _silent():
            whole = pydicom.dcmread(data, force=True)
        syntax = _syntax(whole)
        whole.file_meta.TransferSyntaxUID = syntax
        pixels = iter_pixels(whole, indices=[frame.number for frame in frames])
        for frame in frames:
            try:
                with _silent():
                    found = next(pixels)
            except Exception as error:  # pydicom's and its decoders' own
                raise InvalidInput(
                    f"{frame}: pixels cannot be decoded ({syntax.name}): {described(error)}"
                    f"{_advice(syntax)}"
                ) from error
            if found.shape != (frame.rows, frame.columns):
                raise InvalidInput(
                    f"{frame} has {list(found.shape)} pixels, not [{frame.rows}, {frame.columns}]"
                )
            yield found


@contextmanager
def _silent() -> Generator[None]:
    """Ignore what pydicom says about values that break a rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _advice(syntax: UID) -> str:
    """Return how to install a decoder, if one is missing."""
    try:
        missing = syntax.is_compressed and not get_decoder(syntax).is_available
    except NotImplementedError:  # pydicom knows no decoder
        missing = False
    return "; it needs a decoder: pip install pylibjpeg[all]" if missing else ""


def _header(file: DicomFile, data: IO[bytes]) -> Any:
    """Read the header of an image; None for any other file."""
    claims = str(file).lower().endswith(_SUFFIXES)
    start = data.read(_PREAMBLE + 4)
    data.seek(0)
    prefixed = start[_PREAMBLE:] == b"DICM"
    if not prefixed and not _FIRST.match(start):
        if claims:
            what = "is empty" if not start else "is not DICOM, though its name says so"
            raise InvalidInput(f"{file} {what}")
        return None
    try:
        header = pydicom.dcmread(
            data, stop_before_pixels=True, specific_tags=list(_TAGS), force=not prefixed
        )
        classed = str(header.get("SOPClassUID", ""))
        deflated = _syntax(header) == DeflatedExplicitVRLittleEndian
    except (InvalidDicomError, EOFError) as error:
        raise InvalidInput(f"{file} has a damaged header: {described(error)}") from error
    stored = header.file_meta.get("MediaStorageSOPClassUID", "")
    known = UID(classed or str(stored))
    # pydicom reads to the pixels, or silently to the end of a file that is cut off before.
    complete = deflated or bool(data.read(1))
    if "Rows" in header and "Columns" in header and complete:
        return header
    if "Image Storage" in known.name or "Rows" in header or (prefixed and not known):
        raise InvalidInput(f"{file} has a damaged header, or is cut off before its pixels")
    if claims and not prefixed and not known:
        raise InvalidInput(f"{file} is not DICOM, though its name says so")
    return None  # a report, a plan, a list of files


def _syntax(dataset: Any) -> UID:
    """Return the transfer syntax; of a file that does not say, the one that pydicom found."""
    stated = dataset.file_meta.get("TransferSyntaxUID")
    if stated:
        return stated
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _frames(file: DicomFile, header: Any) -> Iterator[Frame]:
    count = int(header.get("NumberOfFrames") or 1)
    shared = _first(header, "SharedFunctionalGroupsSequence")
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    if count > 1 and len(own) != count:
        raise InvalidInput(
            f"{file} has {count} frames, and positions of {len(own)}; only enhanced CT, MR and PET "
            "say where each frame lies: export the series as such, or with one slice per file"
        )
    names = [
        keyword_for_tag(one.DimensionIndexPointer)
        for one in header.get("DimensionIndexSequence") or []
    ]
    for number, group in enumerate(own or [None]):
        found = {tag: _value(header, tag, shared, group) for tag in _GROUPS}
        slope, intercept = found["RescaleSlope"], found["RescaleIntercept"]
        yield Frame(
            file=file,
            number=number,
            instance=str(header.get("SOPInstanceUID", "")),
            series=str(header.get("SeriesInstanceUID", "")),
            part=_part(names, group) if count > 1 else (),
            modality=str(header.get("Modality", "")),
            description=str(header.get("SeriesDescription", "")),
            rows=int(header.Rows),
            columns=int(header.Columns),
            samples=int(header.get("SamplesPerPixel") or 1),
            bits=int(header.get("BitsStored") or 0),
            signed=bool(header.get("PixelRepresentation")),
            slope=1.0 if slope is None else float(slope),
            intercept=float(intercept or 0.0),
            thickness=float(found["SliceThickness"] or 1.0),
            _geometry={
                tag: _numbers(file, tag, found[tag]) for tag in _SIZES if found[tag] is not None
            },
        )


def _value(header: Any, tag: str, shared: Any, own: Any) -> Any:
    """Return a tag's value: of the frame, of all frames, or of the file; or None."""
    groups = [_first(group, _GROUPS[tag]) for group in (own, shared) if group is not None]
    for dataset in (*groups, header):
        found = None if dataset is None else dataset.get(tag)
        if found is not None and found != "" and found != []:
            return found
    return None


def _first(dataset: Any, tag: str) -> Any:
    """Return the only item of a sequence, or None."""
    items = dataset.get(tag)
    return items[0] if items else None


def _part(names: Sequence[str], own: Any) -> tuple[int | str, ...]:
    """Return the indices of a frame along all dimensions except its place in the stack."""
    content = _first(own, "FrameContentSequence")
    if content is None:
        return ()
    indices = content.get("DimensionIndexValues")
    values: list[int] = [] if indices is None else np.atleast_1d(np.array(indices, int)).tolist()
    if len(values) == len(names) and values:
        return tuple(v for v, name in zip(values, names, strict=True) if name not in _PLACES)
    return (str(content.get("StackID", "")), int(content.get("TemporalPositionIndex") or 0))


def _numbers(file: DicomFile, tag: str, value: Any) -> NDArray[np.float64]:
    values = np.atleast_1d(np.array(value, np.float64))
    if values.shape != (_SIZES[tag],) or not np.isfinite(values).all():
        raise InvalidInput(
            f"{file} has {values.tolist()} as {tag}; a slice needs its {_SIZES[tag]} numbers"
        )
    return values
