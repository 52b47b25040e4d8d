"""What a task found in a series, as results for archives are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from numpy.typing import NDArray

PRIVATE: Final = "99NAIAD"
"""Coding scheme of names that have no code of a standard."""


@dataclass(frozen=True, slots=True)
class Code:
    """A concept: ``Code("78961009", "SCT", "Spleen")``."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A label of a label map.

    Attributes:
        number: the value in the map.
        name: of the label.
        code: its concept; None: the name, in the private scheme.
        category: of the concept; None: tissue.
        ml: volume, or None.
    """

    number: int
    name: str
    code: Code | None = None
    category: Code | None = None
    ml: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """The result for a scan. It has no identity of a patient.

    Attributes:
        segments: the labels found, without the background.
        labels: label maps ``[x, y, z]``, one, or one for each segment where they overlap (value 1,
            in the order of ``segments``).
        affine: of the maps, from voxels to millimetres, right, anterior, superior: ``[4, 4]``.
        verdict: a class, or "".
        probabilities: 0 to 1 by class.
        notes: contradictions in the data, each with what was taken.
        picture: the picture of the result, uint8 ``[rows, columns, 3]``, or None.
    """

    segments: tuple[Segment, ...] = ()
    labels: tuple[NDArray[Any], ...] = ()
    affine: NDArray[Any] | None = None
    verdict: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict[str, float])
    notes: tuple[str, ...] = ()
    picture: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The model that made findings, as results name it.

    Attributes:
        name: of the model on the server.
        version: on the server, or of the bundle.
        notice: every user must know of it; results have it beside ``not for diagnosis``.
    """

    name: str
    version: str
    notice: str = ""
