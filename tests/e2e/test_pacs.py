"""Studies from a real archive (Orthanc) through the real Triton, and the results back in it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from highdicom.sr import srread
from numpy.typing import NDArray
from tests.support.full import full
from tests.support.pacs import errors_in, running_archive
from tests.unit.applications.medical.bundle.bundles import (
    SEGMENTATION,
    SEGMENTED,
    metadata,
    voxels,
    write_bundle,
)
from typer.testing import CliRunner, Result

from naiad import testing
from naiad.applications.medical.bundle.pipeline import bundle_spec
from naiad.applications.medical.pacs_demo import studies
from naiad.cli.main import app
from naiad.dicom.archive import Archive
from naiad.dicom.orthanc import Orthanc
from naiad.dicom.rules import Rules
from naiad.dicom.simulate import POSITIONS, Patient, series
from naiad.dicom.source import Query, Study
from naiad.triton.server import Server

SHAPE = (48, 40, 16)
ORGAN = {"scheme": "SCT", "value": "113343008", "meaning": "Organ"}


@dataclass(frozen=True)
class Site:
    """An archive with a study for each position, and a server."""

    archive: Orthanc
    store: Archive
    server: Server
    truth: NDArray[np.int8]

    def command(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(
            app, list(map(str, arguments)), env={**self.archive.environment, "COLUMNS": "200"}
        )

    def asked(self, patient: str) -> list[str]:
        """Return options that take all studies of patients whose ID begins so."""
        return [word for one in self.studies(patient).values() for word in ("--study", one.uid)]

    def studies(self, patient: str) -> dict[str, Study]:
        """Return the studies of patients whose ID begins so, by the rest of it."""
        queries = {one: Query(filters=(("PatientID", f"{patient}-{one}"),)) for one in POSITIONS}
        return {one: next(self.store.studies(query)) for one, query in queries.items()}

    def files(self, study: Study, folder: Path, modality: str) -> list[Path]:
        """Return the files of the only series of a modality."""
        (known,) = [one for one in self.store.series(study) if one.modality == modality]
        return self.store.download(study.uid, known, folder / modality)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_archive() as archive:
        about = metadata({**SEGMENTED, "channel_codes": {"1": ORGAN}})
        bundle = write_bundle(
            tmp_path_factory.mktemp("bundles") / "organs", SEGMENTATION, about, torchscript=False
        )
        store = Archive(archive.url, archive.access())
        values, truth = voxels(SHAPE, np.random.default_rng(1))
        for position in POSITIONS:
            patient = Patient(f"Phantom^{position}", f"ORGAN-{position}", f"organ {position}")
            store.send(list(series(values, (1.5, 1.75, 2.5), patient, position)))
        for sent in studies((64, 64, 24)):
            for one in sent:
                one.PatientID = f"CHEST-{one.SeriesDescription.split()[-1]}"
            store.send(sent)
        with testing.serve("covid_ct", bundle_spec(bundle), instances=1) as server:
            yield Site(archive, store, server, truth)


def test_a_segmentation_lies_on_the_voxels_it_came_from(site: Site, tmp_path: Path) -> None:
    places = ["--from", site.archive.url, "--to", site.archive.url, "--match", "PatientID=ORGAN-*"]
    asked = ["--url", site.server.grpc_url, "--model", "organs", "-o", tmp_path / "maps"]
    result = site.command("infer", "bundle", *places, *asked)
    assert result.exit_code == 0, result.output
    assert result.output.count("gantry tilt") == 1  # a note
    assert "sent 15 instances" in result.output
    found = site.studies("ORGAN")
    for position in POSITIONS:
        folder = tmp_path / position
        sources = site.files(found[position], folder, "CT")
        (path,) = site.files(found[position], folder, "SEG")
        assert errors_in(path) == []
        check_segmentation(path, sources, site.truth)
        if position != "tilted":  # ITK stacks slices along their normal
            check_where_it_lies(path, sources)
        (report,) = site.files(found[position], folder, "SR")
        assert errors_in(report) == []
        check_report(report, path, position)
        (picture,) = site.files(found[position], folder, "OT")
        assert errors_in(picture) == []
        assert pydicom.dcmread(picture).pixel_array.ndim == 3
    assert len(list((tmp_path / "maps").rglob("*_seg.nii.gz"))) == 5


def check_segmentation(path: Path, sources: list[Path], truth: NDArray[np.int8]) -> None:
    """Compare with the phantom, slice by slice, as highdicom reads it."""
    read = highdicom.seg.segread(path)
    images = sorted(map(pydicom.dcmread, sources), key=lambda one: one.InstanceNumber)
    masks = read.get_pixels_by_source_instance(
        [one.SOPInstanceUID for one in images],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    expected = truth.transpose(2, 1, 0)  # slices, rows, columns
    assert np.mean((masks > 0) == (expected > 0)) > 0.97
    organ = read.get_segment_description(1)
    assert organ.segmented_property_type.value == ORGAN["value"]
    lesion = read.get_segment_description(2)
    assert lesion.segmented_property_type.scheme_designator == "99NAIAD"
    assert (lesion.segment_label, organ.segment_label) == ("lesion", "organ")
    assert read.PatientName == images[0].PatientName
    assert read.StudyInstanceUID == images[0].StudyInstanceUID
    assert "not for diagnosis" in read.SeriesDescription
    assert (read.Manufacturer, read.ManufacturerModelName) == ("Naiad", "organs")


def check_where_it_lies(path: Path, sources: list[Path]) -> None:
    """Look up the place of each voxel of the organ in the series as SimpleITK reads it."""
    reader = SimpleITK.ImageSeriesReader()
    folder = str(sources[0].parent)
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    scan = reader.Execute()
    read = pydicom.dcmread(path)
    shared = read.SharedFunctionalGroupsSequence[0]
    turned = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    inside: list[float] = []
    for mask, group in zip(read.pixel_array, read.PerFrameFunctionalGroupsSequence, strict=True):
        start = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for row, column in np.argwhere(mask)[::7]:
            point = start + turned[:3] * column * spacing[1] + turned[3:] * row * spacing[0]
            inside.append(scan[scan.TransformPhysicalPointToIndex(point.tolist())])
    assert len(inside) > 50
    # Tissue around is at -60; the network is right in most places.
    assert np.mean(np.array(inside) > 10) > 0.85


def check_report(path: Path, segmentation: Path, position: str) -> None:
    read = srread(path)
    groups = read.content.get_volumetric_roi_measurement_groups()
    assert [group.finding_type.meaning for group in groups] == ["Organ", "lesion"]
    voxel = 1.5 * 1.75 * 2.5 / 1000 * (np.cos(np.radians(15)) if position == "tilted" else 1)
    masks = pydicom.dcmread(segmentation)
    frames = masks.PerFrameFunctionalGroupsSequence
    segments = np.array(
        [one.SegmentIdentificationSequence[0].ReferencedSegmentNumber for one in frames]
    )
    for number, group in enumerate(groups, start=1):
        (volume,) = group.get_measurements()
        assert (volume.name.meaning, volume.unit.value) == ("Volume", "ml")
        pixels = masks.pixel_array[segments == number].sum()
        assert volume.value == pytest.approx(pixels * voxel, rel=1e-3)
        assert group.reference_type.meaning == "Referenced Segment"
    assert read.VerificationFlag == "UNVERIFIED"
    assert read.PatientID == f"ORGAN-{position}"
    assert "not for diagnosis" in str(read)


def test_a_verdict_is_reported_and_a_second_run_replaces_nothing(
    site: Site, tmp_path: Path
) -> None:
    study = site.studies("CHEST")["axial"]
    places = ["--from", site.archive.url, "--to", site.archive.url, "--study", study.uid]
    asked = ["--url", site.server.grpc_url, "-o"]
    paths: list[Path] = []
    seen: set[str] = set()
    for number in range(2):
        table = tmp_path / f"{number}.csv"
        result = site.command("infer", "covid_ct", *places, *asked, table)
        assert result.exit_code == 0, result.output
        assert "sent 2 instances" in result.output
        reports = [one for one in site.store.series(study) if one.modality == "SR"]
        (report,) = [one for one in reports if one.uid not in seen]
        seen.add(report.uid)
        (path,) = site.store.download(study.uid, report, tmp_path / str(number))
        paths.append(path.rename(tmp_path / f"{number}.dcm"))
    first, second = map(srread, paths)
    (group,) = first.content.get_image_measurement_groups()
    (row,) = csv.DictReader((tmp_path / "0.csv").read_text().splitlines())
    (evaluation,) = group.get_qualitative_evaluations()
    assert evaluation.value.meaning == row["verdict"] == "COVID Positive"
    (probability,) = group.get_measurements()
    assert probability.value == pytest.approx(float(row["p_covid"]), abs=1e-5)
    assert row["file"].startswith(study.uid)
    reference = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert reference.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert all(errors_in(path) == [] for path in paths)


def test_a_query_is_processed_and_resumed_without_sending_twice(site: Site, tmp_path: Path) -> None:
    command = [
        *("process", "covid_ct", "--from", site.archive.url, "--to", tmp_path / "sent"),
        *(*site.asked("CHEST"), "--objects", "sr", "--modality", "CT"),
        *("--server", site.server.grpc_url, "-o", tmp_path / "results", "--format", "csv"),
    ]
    result = site.command(*command)
    assert result.exit_code == 0, result.output
    assert "5 scans of 5 inputs" in result.output
    sent = sorted((tmp_path / "sent").rglob("*.dcm"))
    assert len(sent) == 5
    before = {path: path.stat().st_mtime_ns for path in sent}
    assert "5 of them from earlier runs" in site.command(*command).output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert sorted((tmp_path / "sent").rglob("*.dcm")) == sent


@pytest.mark.parametrize("verb", ["infer", "process"])
def test_without_identity_nothing_of_the_patient_leaves_the_archive(
    verb: str, site: Site, tmp_path: Path
) -> None:
    study = site.studies("CHEST")["axial"]
    server = "--url" if verb == "infer" else "--server"
    key, table, out = tmp_path / "key", tmp_path / "map.csv", tmp_path / "out"
    result = site.command(
        *(verb, "covid_ct", "--from", site.archive.url, "--study", study.uid, "--modality", "CT"),
        *("--to", tmp_path / "sent", "--deidentify", "--deidentified-images"),
        *("--deidentify-key", key, "--deidentify-map", table, server, site.server.grpc_url),
        *("-o", out / "verdicts.csv" if verb == "infer" else out),
    )
    assert result.exit_code == 0, result.output
    identity = (b"Phantom^Axial", b"CHEST-axial", study.uid.encode())
    written = [
        *(tmp_path / "sent").rglob("*.dcm"),
        *(one for one in out.rglob("*") if one.is_file()),
    ]
    assert {pydicom.dcmread(path).Modality for path in written if path.suffix == ".dcm"} >= {
        *("CT", "SR", "OT")
    }
    for path in filter(Path.is_file, written):
        data = path.read_bytes()
        assert not any(one in data for one in identity), path
    assert study.uid.encode() in table.read_bytes()
    assert [one.stat().st_mode & 0o777 for one in (key, table)] == [0o600, 0o600]


def test_rules_choose_series_and_say_why_others_are_left_out(site: Site, tmp_path: Path) -> None:
    study = site.studies("ORGAN")["coronal"]
    fetched = site.store.fetch(study, tmp_path / "all", Rules(modality=("CT",), plane="coronal"))
    (taken,) = fetched.series
    assert (taken.about.plane, taken.about.images, taken.about.thickness) == ("coronal", 16, 2.5)
    others = site.store.fetch(study, tmp_path / "none", Rules(plane="axial", max_thickness=2.0))
    assert others.series == ()
    assert "is coronal; the rules take axial" in str(others.left_out[0])


def test_refusals_say_the_url_the_status_and_what_to_do(site: Site) -> None:
    result = site.command("infer", "covid_ct", "--from", site.archive.url, "--study", "1.2.3")
    assert result.exit_code == 1
    assert "has no study 1.2.3" in str(result.exception)
    wrong = CliRunner().invoke(
        app, ["infer", "covid_ct", "--from", site.archive.url], env={"NAIAD_PACS_USER": "me:wrong"}
    )
    assert wrong.exit_code == 1
    said = str(wrong.exception)
    assert f"{site.archive.url}/studies answers 401 Unauthorized" in said
    assert "NAIAD_PACS_USER" in said


@full
def test_the_demo_ends_with_results_in_the_archive(tmp_path: Path, site: Site) -> None:
    result = site.command("demo", "pacs", "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "sent 10 instances" in result.output
    assert (tmp_path / "results.csv").read_text().count("COVID") == 5
