"""What a task found in a series, as results for archives are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind: TypeAlias = Literal["seg", "sr", "capture"]
"""A segmentation, a structured report, or a secondary capture."""
KINDS: Final[tuple[Kind, ...]] = ("seg", "sr", "capture")

PRIVATE: Final = "99NAIAD"
"""Coding scheme of names that have no code of a standard."""


@dataclass(frozen=True, slots=True)
class Code:
    """A concept: ``Code("78961009", "SCT", "Spleen")``."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True, slots=True)
class LabelCode:
    """The concept of a label, and the concept's category, as far as known."""

    code: Code | None = None
    category: Code | None = None


def read_codes(stated: Mapping[Any, Mapping[str, Any]]) -> dict[int, LabelCode]:
    """Read the concepts of labels from JSON.

    It is as ``{"1": {"scheme": "SCT", "value": "78961009", "meaning": "Spleen", "category":
    {...}}}``; the category is of the same form, and may be left out.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is not.
    """
    found: dict[int, LabelCode] = {}
    for number, one in stated.items():
        category = one.get("category")
        found[int(number)] = LabelCode(_code(one), None if category is None else _code(category))
    return found


def _code(stated: Mapping[str, Any]) -> Code:
    values = [str(stated[name]).strip() for name in ("value", "scheme", "meaning")]
    if not all(values) or len(values[0]) > 16 or len(values[1]) > 16:
        raise ValueError(f"{dict(stated)!r} has an empty part, or one of over 16 characters")
    return Code(*values)


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
