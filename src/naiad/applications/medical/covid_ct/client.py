"""COVID-19 on chest CT for people: files in, a verdict out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.applications.medical.covid_ct.files import as_request, read_scan
from naiad.applications.medical.covid_ct.schema import POSITIVE
from naiad.client.files import FilesClient
from naiad.core.schema import Arrays


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the network says of one scan.

    Attributes:
        label: "COVID Positive" or "COVID Negative".
        probability: of being positive.
    """

    label: str
    probability: float

    @property
    def positive(self) -> bool:
        """Whether the label is the positive one."""
        return self.label == POSITIVE


class CovidCtClient(FilesClient[Verdict]):
    """Asks a served ``monai_covid``; from ``client.covid_ct``, ``client`` being a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            (verdict,) = client.covid_ct.infer(["scan.nii.gz"])
            print(verdict.label, verdict.probability, client.covid_ct.notice())
    """

    def read(self, path: Path) -> bytes:
        """The bytes of a file of at most so many; errors as `naiad.files.read_file`."""
        return read_scan(path)

    def request(self, files: Sequence[bytes]) -> Arrays:
        """The tensors of a request for some scans."""
        return as_request(files)

    def answers(self, outputs: Arrays) -> list[Verdict]:
        """The verdict on each scan."""
        found = zip(outputs["OUTPUT0"], outputs["PROBABILITY"].tolist(), strict=True)
        return [Verdict(label.decode(), probability) for label, probability in found]
