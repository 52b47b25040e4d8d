"""The task of ``mednist``: image files in, their kinds out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.medical.mednist.schema import CLASSES, MAX_BYTES, as_request
from naiad.core.schema import Arrays
from naiad.image_formats import SUFFIXES
from naiad.tasks.notebook import Shown
from naiad.tasks.output import save_files
from naiad.tasks.reports import LabelReport
from naiad.tasks.task import Advance, Column, Draws, Found, Reports, Simulates, Task
from naiad.tasks.views import Scores


@dataclass(frozen=True)
class Kind(Shown):
    """The kind of an image.

    Attributes:
        label: the most probable kind.
        scores: probability of each kind, by name.
    """

    label: str
    scores: dict[str, float]

    @property
    def score(self) -> float:
        """The best kind's probability."""
        return self.scores[self.label]


class MedNistTask(Task[bytes, Kind], Reports, Draws, Simulates[bytes], Scores[Kind]):
    """Say which of MedNIST's six kinds images are, with a served network.

    The weights that come with Naiad were trained on synthetic phantoms: not
    for diagnosis. Files are sent as they are.

    [bold]Examples[/]

      naiad infer mednist hand.jpeg
      naiad infer mednist images/ -o kinds.csv --plot sheet.png
      naiad infer mednist images/ --local --weights model.pt
    """

    name, model = "mednist", "mednist_class"
    summary = "which of six kinds medical images are, as MONAI's tutorial serves it"
    pipeline = "naiad.applications.medical.mednist.pipeline:MedNist"
    packages = ("torch", "PIL", "safetensors")
    on_request = True

    unit, suffixes, example = "images", SUFFIXES, "images/"
    max_bytes, listed, group, grouped = MAX_BYTES, True, 16, ("INPUT0",)
    columns = (
        Column("file", fill="unit"),
        Column("label", doc="the most probable kind"),
        *(Column(kind, "float32", f"probability of {kind}") for kind in CLASSES),
    )
    most = 1_000
    simulated, simulated_output, simulated_number = "phantoms", "images", 12

    def request(self, unit: bytes, options: Any) -> Arrays:
        """Return one image as a request."""
        return as_request([unit])

    def answer(self, unit: bytes, outputs: Arrays, card: Any) -> Kind:
        """Return the kind of one image."""
        scores: dict[str, float] = dict(zip(CLASSES, outputs["SCORES"][0].tolist(), strict=True))
        return Kind(outputs["OUTPUT0"][0].decode(), scores)

    def rows(self, result: Kind) -> Iterator[Sequence[object]]:
        """Yield the one row of an image."""
        yield result.label, *result.scores.values()

    def scores(self, result: Kind) -> dict[str, float]:
        """Return the probability of each kind."""
        return result.scores

    def report(self, count: int, card: Any, options: Any) -> LabelReport:
        """Return a report with a line for each image."""
        return LabelReport(self.unit)

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw images with their kinds on one page."""
        from naiad.applications.medical.mednist.sheet import draw

        draw(found, path, card.get("notice", ""))

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, bytes]]:
        """Draw phantoms in the manner of MedNIST's six kinds, to try mednist with.

        A phantom's name says which kind it is. They are no patients.

        [bold]Example[/]

          naiad simulate mednist -n 60 -o images --seed 7
        """
        from naiad.applications.medical.mednist.phantoms import draw, encode

        rng = np.random.default_rng(seed)
        for count in range(number):
            kind = CLASSES[count % len(CLASSES)]
            yield f"{count:03}-{kind}.jpeg", encode(draw(kind, rng))

    def save(self, units: Iterator[tuple[str, bytes]], path: Path, advance: Advance) -> None:
        """Write a file for each phantom."""
        save_files(units, path, advance)
