"""The task of MONAI bundles: scans and pictures in, label maps or classes out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from naiad.applications.medical.nifti_files import SUFFIXES
from naiad.applications.medical.slice_options import SliceOptions
from naiad.core.fields import setting
from naiad.core.schema import Array, Arrays
from naiad.dicom.findings import Findings
from naiad.errors import InvalidInput
from naiad.image_formats import SUFFIXES as PICTURES
from naiad.tasks.studies import ReadsSeries
from naiad.tasks.task import (
    Column,
    Draws,
    Found,
    Joins,
    Opens,
    Report,
    Reports,
    Source,
    Task,
    WritesFiles,
)
from naiad.tasks.views import Scores, Volume, Volumes

if TYPE_CHECKING:
    from naiad.applications.medical.bundle.results import About, Answer
    from naiad.applications.medical.bundle.scans import File

Files: TypeAlias = "tuple[File, ...]"
"""The files of a scan, as many as the bundle takes."""


class BundleTask(
    Task[Files, "Answer"],
    Opens[Files],
    ReadsSeries[Files, "Answer"],
    Joins[Files],
    Reports,
    Draws,
    WritesFiles[Files, "Answer"],
    Scores["Answer"],
    Volumes,
):
    """Segment or classify scans or pictures with a served MONAI bundle.

    Inputs are NIfTI files, DICOM files, zip archives with DICOM series,
    pictures (JPEG, PNG, WebP, TIFF, AVIF, HEIC), and folders: of a folder,
    the NIfTI files are taken, or else the DICOM series or pictures. Sizes of
    labels, or probabilities of classes, are printed. A folder of results has
    a label map for each scan, and a table.

    For a bundle with several channels give the files of a scan after each
    other, in the order of the channels, or a file with a volume for each.

    [bold]Examples[/]

      naiad infer bundle scan.nii.gz -o seg/ --plot overlays/
      naiad infer bundle series.zip dicom-folder/ -o volumes.csv
      naiad infer bundle t1c.nii.gz t1.nii.gz t2.nii.gz flair.nii.gz --model brats_mri_segmentation
      naiad infer bundle frames/ -o seg/ --model endoscopic_tool_segmentation
      naiad infer bundle scan.nii.gz -o seg/ --local --weights spleen_ct_segmentation/
      naiad infer bundle --from https://pacs.example/dicom-web --study 1.2.3 --to results/
    """

    name = "bundle"
    summary = "label maps and classes of medical scans, by any MONAI bundle"
    pipeline = "naiad.applications.medical.bundle.pipeline:Bundle"
    packages = ("torch", "monai", "nibabel", "isal", "PIL")
    on_request = True

    unit, example = "scans", "scan.nii.gz"
    suffixes = (*SUFFIXES, ".zip", ".dcm", *PICTURES)
    columns = (
        Column("scan", fill="unit"),
        Column("label", "int32", "value in the label map"),
        Column("name", doc="name of the label"),
        Column("ml", "float64", "volume of the label", "ml"),
    )
    concurrency, timeout = 2, 600.0
    clients = (
        "naiad.applications.medical.bundle.client:BundleClient",
        "naiad.applications.medical.bundle.aio:AsyncBundleClient",
    )

    @dataclass(frozen=True)
    class Options(SliceOptions):
        """Options of a request."""

        compress: bool = field(
            default=True,
            metadata={
                "help": "Write .nii.gz, or else .nii; maps of pictures are .png.",
                "flag": "--gzip/--no-gzip",
            },
        )

    @dataclass(frozen=True)
    class ServeOptions:
        """Options of ``naiad serve``."""

        bundle: tuple[Path, ...] = setting(
            (),
            "Also serve this MONAI bundle: its folder, or a .ts file; may be repeated. It is a "
            "program: take bundles only from those you trust.",
            metavar="DIR",
        )

    @dataclass(frozen=True)
    class ExportOptions:
        """Options of ``naiad export``."""

        bundle: Path | None = setting(
            None,
            "A MONAI bundle in place of a pipeline: its folder, or a .ts file. It is a program: "
            "take bundles only from those you trust.",
            metavar="DIR",
        )

    @classmethod
    def specs(cls, options: ServeOptions | ExportOptions) -> Sequence[str]:
        """Return the specs of bundles."""
        from naiad.applications.medical.bundle.pipeline import bundle_spec

        given = options.bundle or ()
        return [bundle_spec(path) for path in ([given] if isinstance(given, Path) else given)]

    @classmethod
    def model_on(cls, client: Any) -> str:
        """Return the name of the only bundle on a server.

        Raises:
            ModelNotFound: no bundle, or several; names them.
        """
        from naiad.applications.medical.bundle.client import find_bundle

        return find_bundle(client)

    def card(self, metadata: Any) -> About:
        """Return the bundle's model card."""
        from naiad.applications.medical.bundle.results import about

        return about(metadata)

    def find(self, path: Path) -> Iterator[Path]:
        """Yield the files of a folder, or the folder itself if it has DICOM series."""
        from naiad.applications.medical.bundle.scans import find_inputs

        return find_inputs(path)

    def open(self, path: Path) -> Source[Files]:
        """Open a file, or the DICOM series of an archive or folder."""
        from naiad.applications.medical.bundle.scans import Scans

        return Scans(path)

    def open_series(self, folder: Path, options: Options) -> Source[Files]:
        """Open the scans of a DICOM series, as NIfTI files."""
        from naiad.applications.medical.dicom.scans import SeriesScans

        return SeriesScans(folder, options.position_tolerance, make=lambda scan: (scan,))

    def findings(self, unit: Files, result: Answer, card: About) -> Findings:
        """Return the labels with their maps, or the classes."""
        from naiad.applications.medical.bundle.results import findings

        return findings(result, card)

    def parts(self, card: About) -> Sequence[str]:
        """Return the names of the files of a scan."""
        return card.files

    def join(self, parts: Sequence[Files]) -> Files:
        """Return the scan with these files."""
        return tuple(file for part in parts for file in part)

    def coerce(self, unit: Any, options: Any = None) -> Files:
        """Return the files of a scan, or of a sequence with one for each channel."""
        from naiad.applications.medical.bundle.scans import read_scan

        one = isinstance(unit, str | bytes) or not isinstance(unit, Sequence)
        return tuple(map(read_scan, [unit] if one else unit))

    def request(self, unit: Files, options: Options) -> Arrays:
        """Return a scan as a request to a bundle with the tensor ``image``."""
        return {"image": _bytes(unit, options)}

    def request_for(self, unit: Files, options: Options, card: About) -> Arrays:
        """Return a scan as a request to this bundle."""
        from naiad.applications.medical.bundle.schema import COMPRESS

        if len(unit) not in (1, len(card.files)):
            raise InvalidInput(
                f"{len(unit)} files were given; the bundle needs {len(card.files)} per scan, "
                f"in this order: {', '.join(card.files)}; or one with as many volumes"
            )
        arrays: Arrays = {card.image: _bytes(unit, options)}
        if card.task == "segmentation" and card.kind.gzips:
            arrays[COMPRESS] = np.array([options.compress])
        return arrays

    def answer(self, unit: Files, outputs: Arrays, card: About) -> Answer:
        """Return label maps with the sizes of labels, or probabilities."""
        from naiad.applications.medical.bundle import schema
        from naiad.applications.medical.bundle.results import Classification, Label, Segmentation

        (prediction,) = (name for name in outputs if name not in schema.OWN)
        # A server of an earlier version has none.
        notes = tuple(note.decode() for note in outputs.get(schema.NOTES, ()))
        if card.task == "segmentation":
            tensors = (schema.LABELS, schema.NAMES, card.kind.sizes)
            found = zip(*(outputs[name].tolist() for name in tensors), strict=True)
            return Segmentation(
                card.kind,
                tuple(outputs[prediction]),
                tuple(Label(number, name.decode(), size) for number, name, size in found),
                notes,
            )
        return Classification(
            outputs[schema.LABEL][0].decode(),
            dict(zip(card.classes, outputs[schema.PROBABILITIES].tolist(), strict=True)),
            tuple(outputs[prediction].tolist()),
            notes,
        )

    def columns_of(self, card: About, options: Any) -> tuple[Column, ...]:
        """Return the columns for the labels of volumes or pictures, or for classes."""
        scan, label, name, _ = self.columns
        kind = card.kind
        if card.task == "segmentation":
            return (
                scan,
                label,
                name,
                Column(kind.unit, kind.size_type, "size of the label", kind.unit),
            )
        number = Column("class", "int32", "number of the class, from 0")
        return scan, number, name, Column("probability", "float32", "probability of the class")

    def rows(self, result: Answer) -> Iterator[Sequence[object]]:
        """Yield a row per label or class."""
        from naiad.applications.medical.bundle.results import Segmentation

        if isinstance(result, Segmentation):
            for label in result.labels:
                yield label.number, label.name, label.size
        else:
            for number, (name, share) in enumerate(result.probabilities.items()):
                yield number, name, share

    def writes_files(self, card: About) -> bool:
        """Return whether the bundle makes label maps."""
        return card.task == "segmentation"

    def files(self, unit: Files, result: Answer, options: Options) -> Iterable[tuple[str, bytes]]:
        """Yield the label maps."""
        from naiad.applications.medical.bundle.results import Segmentation

        if isinstance(result, Segmentation):
            yield from result.files("_seg", result.kind.suffix(compress=options.compress))

    def scores(self, result: Answer) -> Mapping[str, float]:
        """Return the probabilities of classes; none of a segmentation."""
        from naiad.applications.medical.bundle.results import Segmentation

        return {} if isinstance(result, Segmentation) else result.probabilities

    def volume(self, found: Found) -> Volume | None:
        """Return a scan with its labels; None for pictures and classes."""
        from naiad.applications.medical.bundle.kinds import VOLUME
        from naiad.applications.medical.bundle.overlay import merged, names_of
        from naiad.applications.medical.bundle.results import Segmentation
        from naiad.applications.medical.viewing import view

        result = found.result
        if not isinstance(result, Segmentation) or result.kind is not VOLUME:
            return None
        (scan,) = VOLUME.read(found.unit()[:1], found.name, 1)
        return view(scan, labels=merged(result), names=names_of(result))

    def report(self, count: int, card: Any, options: Any) -> Report:
        """Return a report with bars for each scan."""
        from naiad.applications.medical.bundle.report import ScanReport

        return ScanReport()

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        """Draw a scan with its label map in colour.

        Raises:
            InvalidInput: the bundle classifies.
        """
        from naiad.applications.medical.bundle.overlay import draw_overlay
        from naiad.applications.medical.bundle.results import Segmentation
        from naiad.applications.medical.bundle.scans import as_file

        for one in found:
            if not isinstance(one.result, Segmentation):
                raise InvalidInput("a classification bundle has no label maps to draw")
            # It was converted before, so that its slices are within the tolerance that was given.
            scan = as_file(one.unit()[0], math.inf)
            draw_overlay(scan, one.result, path, title=Path(one.name).name)


def _bytes(files: Files, options: BundleTask.Options) -> Array:
    from naiad.applications.medical.bundle.scans import as_file

    sent = [as_file(file, options.position_tolerance) for file in files]
    return np.array([*sent, None], object)[:-1]
