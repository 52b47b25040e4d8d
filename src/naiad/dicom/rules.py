"""Rules that choose the series of a study, and the reasons for which others are left out."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias

from naiad.core.fields import setting

Plane: TypeAlias = Literal["axial", "coronal", "sagittal", "oblique"]
PLANES: Final = ("axial", "coronal", "sagittal", "oblique")


@dataclass(frozen=True, slots=True)
class About:
    """Attributes of a series, as far as known.

    Attributes:
        uid: SeriesInstanceUID.
        modality: ``CT``, ``MR``, ...
        description: by the scanner's operator, or "".
        number: SeriesNumber, or None.
        images: number of its instances, or slices once files were read.
        plane: None before files were read, or where slices have no orientation.
        thickness: SliceThickness in millimetres, or None.
    """

    uid: str
    modality: str = ""
    description: str = ""
    number: int | None = None
    images: int = 0
    plane: Plane | None = None
    thickness: float | None = None

    def __str__(self) -> str:
        """Return a short name for people."""
        number = "" if self.number is None else f"{self.number} "
        said = f"{number}{self.modality} {self.description!r}" if self.description else self.uid
        return f"series {said}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A series, or files of one, that are not used.

    Attributes:
        about: the series.
        reason: ``has thickness 10 mm; the rules take at most 5 mm``.
    """

    about: About
    reason: str

    def __str__(self) -> str:
        """Return the series and the reason."""
        return f"{self.about} {self.reason}"


@dataclass(frozen=True, slots=True)
class Rules:
    """Which series are taken, and what is tolerated in them. Fields are options of commands."""

    series: tuple[str, ...] = setting(
        (), "Take this series, by its SeriesInstanceUID; may be repeated.", metavar="UID"
    )
    modality: tuple[str, ...] = setting(
        (), "Take series of this modality, such as CT; may be repeated.", metavar="NAME"
    )
    description: tuple[str, ...] = setting(
        (),
        "Take series whose description matches this pattern with * and ?, in any case; may be "
        "repeated.",
        metavar="PATTERN",
    )
    plane: Plane | None = setting(None, "Take series with slices in this plane.")
    min_thickness: float | None = setting(
        None, "Take series whose slices have at least this thickness, in mm.", min=0.0
    )
    max_thickness: float | None = setting(
        None, "Take series whose slices have at most this thickness, in mm.", min=0.0
    )
    min_images: int = setting(3, "Take series with at least this number of slices.", min=1)
    all_series: bool = setting(
        False, "Take every series that matches; by default the one with the most slices."
    )
    drop_localizers: bool = setting(
        True, "Leave out the localizers that some scanners put into a series."
    )
    drop_duplicates: bool = setting(
        True, "Leave out copies of files, by their SOPInstanceUID, instead of their series."
    )

    @property
    def take_one(self) -> bool:
        """Whether one series of a study is taken."""
        return not self.all_series and len(self.series) < 2

    def refuses(self, about: About) -> str | None:
        """Return the reason for which a series is left out; None if it is taken, or may be.

        Attributes that are not yet known leave nothing out.
        """
        if self.series and about.uid not in self.series:
            return "is not one of the series asked for"
        if self.modality and about.modality not in self.modality:
            return f"has modality {about.modality or 'none'}; the rules take {_any(self.modality)}"
        if self.description and not any(
            fnmatchcase(about.description.lower(), one.lower()) for one in self.description
        ):
            return (
                f"has the description {about.description!r}; the rules take "
                f"{_any(map(repr, self.description))}"
            )
        if about.modality in _RESULTS:
            return f"has modality {about.modality}, which has no image"
        if about.plane is not None and self.plane not in (None, about.plane):
            return f"is {about.plane}; the rules take {self.plane}"
        low, high = self.min_thickness, self.max_thickness
        if about.thickness is not None:
            if low is not None and about.thickness < low:
                return f"has slices of {about.thickness:g} mm; the rules take {low:g} or more"
            if high is not None and about.thickness > high:
                return f"has slices of {about.thickness:g} mm; the rules take {high:g} or less"
        return None


_RESULTS: Final = ("SR", "SEG", "PR", "KO", "RTSTRUCT", "RTPLAN", "RTDOSE", "REG", "FID", "DOC")


def _any(names: object) -> str:
    return " or ".join(map(str, names))  # pyright: ignore[reportArgumentType]
