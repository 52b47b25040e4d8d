"""The model card of a bundle, and its answers: label maps or classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from naiad.applications.medical.bundle.kinds import KINDS, VOLUME, Kind
from naiad.applications.medical.bundle.schema import (
    CLASSES_PARAMETER,
    CODES_PARAMETER,
    FILES_PARAMETER,
    INPUT_PARAMETER,
    KIND_PARAMETER,
    TASK_PARAMETER,
)
from naiad.core.schema import Array
from naiad.dicom.findings import Findings, LabelCode, Segment, read_codes
from naiad.errors import InvalidInput
from naiad.tasks.notebook import Shown

if TYPE_CHECKING:
    from naiad.applications.medical.nifti import Volume


@dataclass(frozen=True, slots=True)
class About:
    """Model card of a served bundle.

    Attributes:
        task: ``segmentation`` or ``classification``.
        kind: of its inputs: volumes or pictures.
        image: name of the input tensor.
        files: names of the files of a scan, in order; most bundles take one.
        classes: names of the classes of a classification, in order.
        notice: what every user must know of it, or "".
        codes: concepts of labels in standard terminologies, by label.
        version: of the bundle, or "".
    """

    task: str
    kind: Kind[Any]
    image: str
    files: tuple[str, ...]
    classes: tuple[str, ...]
    notice: str
    codes: Mapping[int, LabelCode] = field(default_factory=dict[int, LabelCode])
    version: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """Size of a label in a scan.

    Attributes:
        number: the value in the label map, or the number of the map if there are several.
        name: its meaning.
        size: its volume in ml; in a picture, its area in pixels.
    """

    number: int
    name: str
    size: float


@dataclass(frozen=True, repr=False)
class Segmentation(Shown):
    """Label maps of a scan or picture.

    Attributes:
        kind: of the image: a volume or a picture.
        maps: label maps as NIfTI or PNG files with the image's grid: one, or one per channel if
            labels may overlap.
        labels: the labels found, with the background.
        notes: contradictions in the geometry of the scan's file, each with what was taken.
    """

    kind: Kind[Any]
    maps: tuple[bytes, ...]
    labels: tuple[Label, ...]
    notes: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Unit of the labels' sizes: ``ml`` or ``px``."""
        return self.kind.unit

    def array(self, number: int = 0) -> Array:
        """Return a label map: integers ``[x, y, z]``, or ``[rows, columns]`` for a picture."""
        return self.kind.read_map(self.maps[number], f"maps[{number}]")

    def volume(self, number: int = 0) -> Volume:
        """Return a label map of a volume, with its affine; needs nibabel."""
        from naiad.applications.medical.nifti import read

        return read(self.maps[number], name=f"maps[{number}]")

    def save(self, path: Path | str) -> list[Path]:
        """Write the map to ``path``; several maps have their number before the suffix."""
        path = Path(path)
        stem, dot, suffix = path.name.partition(".")
        written = [path.with_name(name) for name, _ in self.files(stem, f"{dot}{suffix}")]
        for one, data in zip(written, self.maps, strict=True):
            one.write_bytes(data)
        return written

    def files(self, stem: str, suffix: str) -> Iterator[tuple[str, bytes]]:
        """Yield the name and content of each map's file, as :meth:`save` names them."""
        for number, data in enumerate(self.maps):
            yield f"{stem}_{number}{suffix}" if len(self.maps) > 1 else f"{stem}{suffix}", data


@dataclass(frozen=True)
class Classification(Shown):
    """Class of a scan.

    Attributes:
        label: the class with the highest probability.
        probabilities: of each class, by name.
        decision: result of the bundle's own postprocessing, such as a one-hot vector.
        notes: contradictions in the geometry of the scan's file, each with what was taken.
    """

    label: str
    probabilities: Mapping[str, float]
    decision: tuple[float, ...]
    notes: tuple[str, ...] = ()


Answer: TypeAlias = Segmentation | Classification


def about(metadata: Mapping[str, str]) -> About:
    """Read a bundle's model card from the parameters of its config."""
    kind = metadata.get(KIND_PARAMETER)
    return About(
        task=metadata.get(TASK_PARAMETER, ""),
        kind=next((known for known in KINDS if known.name == kind), VOLUME),
        image=metadata.get(INPUT_PARAMETER, "image"),
        files=tuple(json.loads(metadata.get(FILES_PARAMETER) or '["image"]')),
        classes=tuple(json.loads(metadata.get(CLASSES_PARAMETER) or "[]")),
        notice=metadata.get("notice", ""),
        codes=read_codes(json.loads(metadata.get(CODES_PARAMETER) or "{}")),
        version=metadata.get("bundle_version", ""),
    )


def findings(answer: Answer, card: About) -> Findings:
    """Return an answer as results in DICOM are made of.

    Raises:
        InvalidInput: it is about a picture, which lies in no patient.
    """
    if isinstance(answer, Classification):
        return Findings(
            verdict=answer.label, probabilities=answer.probabilities, notes=answer.notes
        )
    if answer.kind is not VOLUME:
        raise InvalidInput("label maps of pictures have no place in a DICOM series")
    several = len(answer.maps) > 1
    volumes = [answer.volume(number) for number in range(len(answer.maps))]
    labels = [one for one in answer.labels if several or one.number > 0]
    segments: list[Segment] = []
    for label in labels:
        code = card.codes.get(label.number, LabelCode())
        segments.append(Segment(label.number, label.name, code.code, code.category, label.size))
    maps = [volumes[one.number].stored for one in labels] if several else [volumes[0].stored]
    return Findings(
        segments=tuple(segments), labels=tuple(maps), affine=volumes[0].affine, notes=answer.notes
    )
