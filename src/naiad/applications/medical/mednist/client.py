"""MedNIST for people: image files in, their kinds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.applications.medical.mednist.files import as_request, read_image
from naiad.applications.medical.mednist.schema import CLASSES
from naiad.client.files import FilesClient
from naiad.core.schema import Arrays


@dataclass(frozen=True, slots=True)
class Kind:
    """Which of MedNIST's kinds one image is.

    Attributes:
        label: the best one.
        scores: probability of each kind, by name.
    """

    label: str
    scores: dict[str, float]

    @property
    def score(self) -> float:
        """The best kind's probability."""
        return self.scores[self.label]


class MedNistClient(FilesClient[Kind]):
    """Asks a served ``mednist_class``; from ``client.mednist``, ``client`` being a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            for kind in client.mednist.infer(["a.jpeg", "b.jpeg"]):
                print(kind.label, kind.score)
    """

    def read(self, path: Path) -> bytes:
        """The bytes of a file of at most so many; errors as `naiad.files.read_file`."""
        return read_image(path)

    def request(self, files: Sequence[bytes]) -> Arrays:
        """The tensors of a request for some images."""
        return as_request(files)

    def answers(self, outputs: Arrays) -> list[Kind]:
        """The kind of each image."""
        return [
            Kind(label.decode(), dict(zip(CLASSES, scores, strict=True)))
            for label, scores in zip(outputs["OUTPUT0"], outputs["SCORES"].tolist(), strict=True)
        ]
