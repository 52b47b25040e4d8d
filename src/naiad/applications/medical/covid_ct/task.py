"""The task of ``covid_ct``: NIfTI files in, a verdict out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from naiad.applications.medical.covid_ct.schema import (
    HOUNSFIELD,
    MAX_BYTES,
    NEGATIVE,
    POSITIVE,
    PROBABILITY,
    as_request,
)
from naiad.applications.medical.nifti_files import SUFFIXES, find_scans, is_whole, read_nifti
from naiad.applications.medical.slice_options import SliceOptions
from naiad.core.schema import Arrays
from naiad.dicom.findings import Findings
from naiad.tasks.notebook import Shown
from naiad.tasks.output import save_files
from naiad.tasks.reports import LabelReport
from naiad.tasks.studies import ReadsSeries
from naiad.tasks.task import Advance, Column, Draws, Found, Reports, Simulates, Source, Task
from naiad.tasks.views import Scores, Volume, Volumes


@dataclass(frozen=True)
class Verdict(Shown):
    """The result for a scan.

    Attributes:
        label: "COVID Positive" or "COVID Negative".
        probability: of COVID-19, whichever the label.
    """

    label: str
    probability: float

    @property
    def positive(self) -> bool:
        """Whether the label is the positive one."""
        return self.label == POSITIVE


class CovidCtTask(
    Task[bytes, Verdict],
    ReadsSeries[bytes, Verdict],
    Reports,
    Draws,
    Simulates[bytes],
    Scores[Verdict],
    Volumes,
):
    """Say whether chest CT scans show COVID-19, with a served network.

    The weights that come with Naiad were trained on synthetic phantoms: not
    for diagnosis. Files are sent as they are.

    [bold]Examples[/]

      naiad infer covid_ct scan.nii.gz
      naiad infer covid_ct scans/ more.nii -o verdicts.csv --plot slices.png
      naiad infer covid_ct scan.nii.gz --local --weights covid19_model.ts
      naiad infer covid_ct --from https://pacs.example/dicom-web --study 1.2.3 --to reports/
    """

    name, model = "covid_ct", "monai_covid"
    summary = "COVID-19 on chest CT: NIfTI volumes in, as MONAI's tutorial serves it"
    pipeline = "naiad.applications.medical.covid_ct.pipeline:CovidCt"
    packages = ("torch", "nibabel", "isal", "safetensors")
    on_request = True

    demos = {"pacs": "naiad.applications.medical.pacs_demo:run"}

    unit, suffixes, example = "scans", SUFFIXES, "scans/"
    max_bytes, listed, grouped = MAX_BYTES, True, ("INPUT0",)
    concurrency, timeout = 4, 300.0
    columns = (
        Column("file", fill="unit"),
        Column("verdict", doc="COVID Positive or COVID Negative"),
        Column("p_covid", "float32", "probability of COVID-19, whichever the verdict"),
    )
    most = 50
    Options = SliceOptions
    simulated, simulated_output, simulated_number = "phantoms", "scans", 4

    def find(self, path: Path) -> Iterator[Path]:
        """Yield the file, or the NIfTI files in a folder; of a pair, the header."""
        given = path.is_dir()
        return find_scans(one for one in super().find(path) if not given or is_whole(one))

    def read(self, path: Path) -> bytes:
        """Return the bytes of a file, or of a pair as one file."""
        return read_nifti(path, self.max_bytes)

    def open_series(self, folder: Path, options: SliceOptions) -> Source[bytes]:
        """Open the scans of a DICOM series, as NIfTI files."""
        from naiad.applications.medical.dicom.scans import SeriesScans

        return SeriesScans(folder, options.position_tolerance)

    def findings(self, unit: bytes, result: Verdict, card: Any) -> Findings:
        """Return the verdict and its probability."""
        return Findings(
            verdict=result.label,
            probabilities={POSITIVE.removesuffix(" Positive"): result.probability},
        )

    def request(self, unit: bytes, options: Any) -> Arrays:
        """Return one scan as a request."""
        return as_request([unit])

    def answer(self, unit: bytes, outputs: Arrays, card: Any) -> Verdict:
        """Return the verdict on one scan."""
        return Verdict(outputs["OUTPUT0"][0].decode(), outputs["PROBABILITY"][0].item())

    def rows(self, result: Verdict) -> Iterator[Sequence[object]]:
        """Yield the one row of a scan."""
        yield result.label, result.probability

    def scores(self, result: Verdict) -> dict[str, float]:
        """Return the probabilities of both verdicts."""
        return {POSITIVE: result.probability, NEGATIVE: 1 - result.probability}

    def volume(self, found: Found) -> Volume:
        """Return a scan in Hounsfield units."""
        from naiad.applications.medical import nifti
        from naiad.applications.medical.viewing import view

        return view(nifti.read(found.unit(), name=found.name), window=HOUNSFIELD)

    def report(self, count: int, card: Any, options: Any) -> LabelReport:
        """Return a report with a line for each scan."""
        return LabelReport(
            self.unit,
            score=lambda verdict: verdict.probability,
            style=lambda verdict: "red" if verdict.positive else "green",
            name=PROBABILITY,
        )

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw the middle slices of scans with their verdicts on one page."""
        from naiad.applications.medical.covid_ct.slices import draw

        draw(found, path, card.get("notice", ""))

    def simulate(self, number: int, seed: int, options: Any) -> Iterator[tuple[str, bytes]]:
        """Make chest phantoms, every other with opacities, to try covid_ct with.

        A phantom's name says which it is. They are no patients.

        [bold]Example[/]

          naiad simulate covid_ct -n 6 -o scans --seed 7
        """
        import numpy as np

        from naiad.applications.medical.covid_ct.phantoms import draw, encode

        rng = np.random.default_rng(seed)
        for count in range(number):
            kind = ("opacities", "clear")[count % 2]
            yield f"{count:02}-{kind}.nii.gz", encode(draw(rng, opacities=kind == "opacities"))

    def save(self, units: Iterator[tuple[str, bytes]], path: Path, advance: Advance) -> None:
        """Write a file for each phantom."""
        save_files(units, path, advance)
