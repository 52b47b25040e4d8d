"""Headers of the files of a series: its plane, its thickness, and files that do not belong."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.dicom.files import described
from naiad.dicom.rules import About, LeftOut, Plane, Rules
from naiad.dicom.source import SeriesFolder
from naiad.errors import InvalidInput, MissingExtra

try:
    import pydicom
    from pydicom.errors import InvalidDicomError
except ImportError as error:
    raise MissingExtra("dicomweb", error.name or "pydicom") from error

_TAGS: Final = (
    *("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "Modality"),
    *("SeriesNumber", "StudyDate", "ImageType", "ImageOrientationPatient", "SliceThickness"),
    *("NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("Rows", "Columns"),
)
_AXES: Final[tuple[Plane, ...]] = ("sagittal", "coronal", "axial")  # normal to x, y, z
_UPRIGHT: Final = 0.9  # cosine of a normal to an axis, up to 26 degrees
_ALIKE: Final = 1e-2  # difference of direction cosines in one series
_LISTED: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """The part of a file's header that choosing needs.

    Attributes:
        study, date: StudyInstanceUID and StudyDate.
        about: the file's series, as far as this file says; ``images`` is its number of frames.
        instance: SOPInstanceUID.
        image: whether it has pixels.
        localizer: whether it says that it is one.
        orientation: direction cosines of rows and columns, or None.
    """

    study: str
    date: str
    about: About
    instance: str
    image: bool
    localizer: bool
    orientation: NDArray[np.float64] | None


def read_header(file: IO[bytes] | Path, name: str) -> Header | None:
    """Read a file's header; None if it is not DICOM.

    Raises:
        InvalidInput: it is damaged; says ``name`` and why.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
            return _header(found)
    except InvalidDicomError:
        return None
    except Exception as error:  # pydicom raises nearly anything for a damaged file
        raise InvalidInput(f"{name} has a damaged header: {described(error)}") from error


def choose(
    folder: Path, files: Sequence[Path], about: About, rules: Rules
) -> SeriesFolder | LeftOut:
    """Return the series in a folder without the files that do not belong, or why it is left out.

    Localizers and copies are deleted from the folder, and damaged files: the result's notes name
    them. A series of result objects is left out.

    Args:
        folder: of this series alone.
        files: in it.
        about: what the source said of the series.
        rules: of the user.
    """
    notes: list[str] = []
    headers: dict[Path, Header] = {}
    for file in files:
        try:
            header = read_header(file, file.name)
        except InvalidInput as error:
            notes.append(f"left out: {error}")
            header = None
        if header is not None and header.image:
            headers[file] = header
    if rules.drop_localizers:
        localizers = list(_localizers(headers))
        if localizers and len(localizers) < len(headers):
            notes.append(f"{_count(localizers)} left out: localizers, or across the others")
            headers = {file: one for file, one in headers.items() if file not in localizers}
    if copies := list(_copies(headers)):
        if not rules.drop_duplicates:
            return LeftOut(about, f"has {len(copies)} copies, by their SOPInstanceUID")
        notes.append(f"{_count(copies)} left out: copies, by their SOPInstanceUID")
        headers = {file: one for file, one in headers.items() if file not in copies}
    for file in files:
        if file not in headers:
            file.unlink()
    if not headers:
        said = f": {notes[0]}" if notes else ""
        return LeftOut(about, f"has no image that can be read{said}")
    known = merged(headers.values())
    if reason := rules.refuses(known):
        return LeftOut(known, reason)
    if known.images < rules.min_images:
        return LeftOut(known, f"has {known.images} slices; the rules take {rules.min_images} up")
    return SeriesFolder(known, folder, tuple(notes))


def merged(headers: Iterable[Header]) -> About:
    """Return what the files of a series say together: the most frequent plane and thickness."""
    several = list(headers)
    abouts = [header.about for header in several]
    planes = Counter(about.plane for about in abouts if about.plane is not None)
    sizes = Counter(about.thickness for about in abouts if about.thickness is not None)
    return replace(
        abouts[0],
        images=sum(about.images for about in abouts),
        plane=planes.most_common(1)[0][0] if planes else None,
        thickness=sizes.most_common(1)[0][0] if sizes else None,
    )


def smaller(about: About, first: About) -> LeftOut:
    """Return a series as left out for one with more slices."""
    return LeftOut(
        about,
        f"has {about.images} slices and {first} has {first.images}; one series is taken unless "
        "--all-series is given",
    )


def best(chosen: Sequence[SeriesFolder], rules: Rules) -> tuple[list[SeriesFolder], list[LeftOut]]:
    """Return the series with the most slices, and the others as left out; or all, as asked.

    Folders of those that are left out are removed.
    """
    ranked = sorted(chosen, key=lambda one: (-one.about.images, one.about.uid))
    if not rules.take_one:
        return ranked, []
    for one in ranked[1:]:
        rmtree(one.folder, ignore_errors=True)
    return ranked[:1], [smaller(one.about, ranked[0].about) for one in ranked[1:]]


def _header(found: Any) -> Header:
    shared = _first(found, "SharedFunctionalGroupsSequence")
    frame = _first(found, "PerFrameFunctionalGroupsSequence")
    cosines = value_in(found, shared, frame, "PlaneOrientationSequence", "ImageOrientationPatient")
    thickness = value_in(found, shared, frame, "PixelMeasuresSequence", "SliceThickness")
    orientation = None if cosines is None else np.array(cosines, np.float64)
    if orientation is not None and (
        orientation.shape != (6,) or not np.isfinite(orientation).all()
    ):
        orientation = None
    number = found.get("SeriesNumber")
    image = "Rows" in found and "Columns" in found
    types = found.get("ImageType") or ()
    about = About(
        uid=str(found.get("SeriesInstanceUID", "")),
        modality=str(found.get("Modality", "")),
        description=str(found.get("SeriesDescription", "") or ""),
        number=None if number is None else int(number),
        images=int(found.get("NumberOfFrames") or 1) if image else 0,
        plane=None if orientation is None else plane_of(orientation),
        thickness=None if thickness is None else float(thickness),
    )
    return Header(
        study=str(found.get("StudyInstanceUID", "")),
        date=str(found.get("StudyDate", "") or ""),
        about=about,
        instance=str(found.get("SOPInstanceUID", "")),
        image=image,
        localizer="LOCALIZER" in ([types] if isinstance(types, str) else list(types)),
        orientation=orientation,
    )


def plane_of(orientation: NDArray[np.float64]) -> Plane:
    """Return the plane of slices by ImageOrientationPatient."""
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    axis = int(normal.argmax())
    return _AXES[axis] if normal[axis] >= _UPRIGHT else "oblique"


def _localizers(headers: dict[Path, Header]) -> Iterator[Path]:
    """Yield files that say so, and those across the most frequent orientation."""
    usual = Counter(
        tuple(one.orientation.round(1).tolist())
        for one in headers.values()
        if one.orientation is not None and not one.localizer
    )
    for file, one in headers.items():
        across = (
            usual
            and one.orientation is not None
            and np.abs(one.orientation - np.array(usual.most_common(1)[0][0])).max() > 0.05 + _ALIKE
        )
        if one.localizer or across:
            yield file


def _copies(headers: dict[Path, Header]) -> Iterator[Path]:
    """Yield files whose SOPInstanceUID one before has, in the order of their names."""
    seen: set[str] = set()
    for file, one in sorted(headers.items()):
        if one.instance and one.instance in seen:
            yield file
        seen.add(one.instance)


def value_in(found: Any, shared: Any, frame: Any, group: str, tag: str) -> Any:
    """Return a tag's value: of a frame, of all frames, or of the file; or None."""
    for one in (frame, shared):
        inner = None if one is None else _first(one, group)
        if inner is not None and inner.get(tag) is not None:
            return inner.get(tag)
    return found.get(tag)


def _first(dataset: Any, tag: str) -> Any:
    """Return the first item of a sequence, or None."""
    items = dataset.get(tag)
    return items[0] if items else None


def _count(files: Sequence[Path]) -> str:
    return "1 file is" if len(files) == 1 else f"{len(files):,} files are"
