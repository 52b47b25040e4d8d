"""Results in DICOM: where segmentations lie, what they carry, and what they do not."""

from __future__ import annotations

import warnings
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from highdicom.sr import srread
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from tests.support.pacs import errors_in
from tests.unit.dicom.series import BLOCK, SHAPE, slices, write

from naiad.applications.medical import nifti
from naiad.applications.medical.dicom import find_series
from naiad.applications.medical.dicom.scans import SeriesScans
from naiad.dicom.findings import Algorithm, Code, Findings, Segment
from naiad.dicom.headers import choose
from naiad.dicom.results import instances, uids
from naiad.dicom.rules import About, Rules
from naiad.dicom.simulate import POSITIONS, Position
from naiad.dicom.sink import Reference, is_report_on
from naiad.dicom.source import SeriesFolder
from naiad.errors import InvalidInput

MODEL = Algorithm("spleen_ct", "1.2", "Für Forschung – phantoms.")
SPLEEN = Segment(4, "spleen", Code("78961009", "SCT", "Spleen"), ml=1.5)


def folder_of(made: list[Dataset], folder: Path) -> SeriesFolder:
    found = choose(
        folder, write(made, folder), About(made[0].SeriesInstanceUID), Rules(min_images=1)
    )
    assert isinstance(found, SeriesFolder)
    return found


def scan_of(series: SeriesFolder) -> nifti.Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what was tolerated
        ((_, unit),) = SeriesScans(series.folder).read(range(1))
    return nifti.read(unit)


def scan_notes(series: SeriesFolder) -> tuple[str, ...]:
    (found,) = find_series(series.folder)
    return found.volume().notes


def labelled(scan: nifti.Volume) -> Findings:
    labels = np.where(scan.voxels() > 275, 4, 0).astype(np.uint8)  # half of it, as one is shifted
    return Findings((SPLEEN, Segment(9, "none", ml=0.0)), (labels,), scan.affine)


def masks_by_source(path: Path, sources: list[Path]) -> NDArray[np.int64]:
    read = highdicom.seg.segread(path)
    ordered = sorted(map(pydicom.dcmread, sources), key=lambda one: one.InstanceNumber)
    return read.get_pixels_by_source_instance(
        [one.SOPInstanceUID for one in ordered],
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_segmentation_lies_on_its_slices(
    position: Position, turned: bool, tmp_path: Path
) -> None:
    series = folder_of(slices(position)[::-1], tmp_path / "in")
    scan = scan_of(series)
    assert any("gantry tilt" in note for note in scan_notes(series)) == (position == "tilted")
    findings = labelled(scan)
    if turned:  # a map whose axes are others than the scan's
        order = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
        flip = np.diag([1.0, -1.0, 1.0, 1.0])
        flip[1, 3] = scan.stored.shape[2] - 1
        maps = findings.labels[0].transpose(1, 2, 0)[:, ::-1]
        affine = scan.affine @ order.T @ flip
        findings = Findings(findings.segments, (maps,), affine)
    made = instances(findings, series, MODEL, run="r")
    assert [one.Modality for one in made] == ["SEG", "SR"]
    paths = write(made, tmp_path / "out")
    masks = masks_by_source(paths[0], series.files())
    expected = np.zeros(SHAPE)
    expected[BLOCK] = 1
    np.testing.assert_array_equal(masks, expected.transpose(2, 1, 0))


def test_a_map_elsewhere_is_refused(tmp_path: Path) -> None:
    series = folder_of(slices(), tmp_path / "in")
    found = labelled(scan_of(series))
    assert found.affine is not None
    for shift in (0.5, 1.5, 40.0):
        affine = found.affine.copy()
        affine[0, 3] += shift
        with pytest.raises(InvalidInput, match="does not lie on the 6 slices"):
            instances(Findings(found.segments, found.labels, affine), series, MODEL, run="r")


def test_an_enhanced_file_is_segmented_frame_by_frame(tmp_path: Path) -> None:
    classic = slices("oblique")
    uid = pydicom.uid.generate_uid
    whole = LegacyConvertedEnhancedCTImage(classic, uid(), 3, uid(), 1)
    series = folder_of([whole], tmp_path / "in")
    assert (series.about.images, series.about.thickness) == (SHAPE[2], 2.5)
    (seg, _) = instances(labelled(scan_of(series)), series, MODEL, run="r")
    (path,) = write([seg], tmp_path / "out")
    masks = highdicom.seg.segread(path).get_pixels_by_source_frame(
        whole.SOPInstanceUID,
        range(1, SHAPE[2] + 1),
        combine_segments=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(masks, whole.pixel_array == 500 + 1024)


def test_identity_is_carried_and_private_tags_are_not(tmp_path: Path) -> None:
    source = slices()
    for one in source:
        one.private_block(0x0099, "VENDOR", create=True).add_new(1, "LO", "hidden")
        one.SpecificCharacterSet, one.PatientName = "ISO_IR 100", "Jürg^Ötzi"
        one.PatientSex = "X"  # not a value of DICOM's
        one.StudyDescription = "Follow-up"
    series = folder_of(source, tmp_path / "in")
    picture = np.full((20, 30, 3), 7, np.uint8)
    scan = scan_of(series)
    found = Findings(
        (SPLEEN,),
        labelled(scan).labels,
        scan.affine,
        "positive",
        {"positive": 0.75},
        ("a note",),
        picture,
    )
    made = instances(found, series, MODEL, run="r")
    paths = write(made, tmp_path / "out")
    assert [errors_in(path) for path in paths] == [[], [], []]
    for one in map(pydicom.dcmread, paths):
        assert (one.PatientName, one.PatientID) == ("Jürg^Ötzi", "P1")
        assert one.StudyInstanceUID == source[0].StudyInstanceUID
        assert one.StudyDescription == "Follow-up"
        assert one.SeriesInstanceUID != source[0].SeriesInstanceUID
        assert "not for diagnosis" in one.SeriesDescription
        assert (one.Manufacturer, one.ManufacturerModelName) == ("Naiad", "spleen_ct")
        assert "spleen_ct 1.2" in one.SoftwareVersions
    assert not any(b"hidden" in path.read_bytes() for path in paths)
    report = srread(paths[1])
    (volume,) = report.content.get_volumetric_roi_measurement_groups()
    assert volume.finding_type.value == "78961009"
    (ml,) = volume.get_measurements()
    assert (ml.value, ml.unit.value) == (1.5, "ml")
    (verdict,) = report.content.get_image_measurement_groups()
    assert verdict.get_qualitative_evaluations()[0].value.scheme_designator == "99NAIAD"
    assert verdict.get_measurements()[0].value == 0.75
    said = [
        item.TextValue
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Comment"
    ]
    assert said == ["Made by software: not for diagnosis. Für Forschung – phantoms.", "a note"]
    assert pydicom.dcmread(paths[2]).pixel_array.shape == picture.shape


def test_uids_follow_from_the_run(tmp_path: Path) -> None:
    series = folder_of(slices(), tmp_path / "in")
    found = Findings(verdict="negative", probabilities={"positive": 0.25})
    uid = series.about.uid
    (first,) = instances(found, series, MODEL, run="one")
    (again,) = instances(found, series, MODEL, run="one")
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert [first.SOPInstanceUID] == uids(uid, run="one", kinds=("sr",))
    (other,) = instances(found, series, MODEL, run="two", previous=[Reference.to(first)])
    assert other.SOPInstanceUID != first.SOPInstanceUID
    assert other.SeriesInstanceUID != first.SeriesInstanceUID
    earlier = other.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert earlier.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert is_report_on(first, uid)
    assert not is_report_on(first, "1.2")


def test_maps_that_overlap_are_segments_each(tmp_path: Path) -> None:
    series = folder_of(slices(), tmp_path / "in")
    scan = scan_of(series)
    whole = np.ones(SHAPE, np.uint8)
    maps = (labelled(scan).labels[0] // 4, whole)
    segments = (Segment(0, "organ"), Segment(1, "body"))
    (seg, _) = instances(Findings(segments, maps, scan.affine), series, MODEL, run="r")
    (path,) = write([seg], tmp_path / "out")
    read = highdicom.seg.segread(path)
    assert [read.get_segment_description(n).segment_label for n in (1, 2)] == ["organ", "body"]
    sizes = read.get_volume(combine_segments=False).array.sum(axis=(0, 1, 2))
    assert sizes.tolist() == [maps[0].sum(), whole.sum()]


def test_a_scan_without_findings_has_a_report_alone(tmp_path: Path) -> None:
    series = folder_of(slices(), tmp_path / "in")
    scan = scan_of(series)
    empty = Findings((SPLEEN,), (np.zeros(SHAPE, np.uint8),), scan.affine)
    (report,) = instances(empty, series, MODEL, run="r")
    assert report.Modality == "SR"
