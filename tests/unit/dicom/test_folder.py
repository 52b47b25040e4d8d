"""Studies in folders, archives and DICOMDIRs, and the series that rules choose."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid
from tests.unit.dicom.series import SHAPE, slices, write

from naiad.dicom.folder import Folder, FolderSink
from naiad.dicom.rules import About, Rules
from naiad.dicom.source import Fetched, Query
from naiad.errors import InvalidInput


def fetched(path: Path, work: Path, rules: Rules | None = None) -> Fetched:
    source = Folder(path)
    (study,) = source.studies(Query())
    return source.fetch(study, work, rules or Rules())


def test_a_zip_archive_and_a_dicomdir_are_as_the_folder(tmp_path: Path) -> None:
    paths = write(slices(), tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"deep/{path.name}")
    disc = write(slices(), tmp_path / "disc" / "IMAGES")
    (tmp_path / "disc" / "IMAGES" / "other.dcm").write_bytes(b"not listed")
    write_dicomdir([path.name for path in disc], tmp_path / "disc" / "DICOMDIR")
    for number, place in enumerate(("in", "in.zip", "disc/DICOMDIR")):
        (found,) = fetched(tmp_path / place, tmp_path / f"work{number}").series
        assert (found.about.images, found.about.plane) == (SHAPE[2], "axial")
        assert len(found.files()) == SHAPE[2]
    assert all(path.exists() for path in paths)


def write_dicomdir(names: list[str], path: Path) -> None:
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    index.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    index.DirectoryRecordSequence = [Dataset() for _ in range(len(names) + 2)]
    with disable_value_validation():  # small letters and dots are common, and forbidden
        for record, name in zip(index.DirectoryRecordSequence, names, strict=False):
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", ["IMAGES", name]
        index.DirectoryRecordSequence[-1].ReferencedFileID = ["..", "outside.dcm"]
        index.save_as(path, enforce_file_format=True)


def test_the_series_with_most_slices_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    write(slices(number=1), tmp_path / "in", "a")
    write(slices("coronal", number=2)[:4], tmp_path / "in", "b")
    found = fetched(tmp_path / "in", tmp_path / "one")
    assert [one.about.number for one in found.series] == [1]
    (left,) = found.left_out
    assert "series 2 CT" in str(left)
    assert "has 4 slices and series 1 CT 'phantom, axial' has 6" in left.reason
    both = fetched(tmp_path / "in", tmp_path / "all", Rules(all_series=True))
    assert [one.about.plane for one in both.series] == ["axial", "coronal"]
    coronal = fetched(tmp_path / "in", tmp_path / "coronal", Rules(plane="coronal"))
    assert [one.about.number for one in coronal.series] == [2]
    assert coronal.left_out[0].reason == "is axial; the rules take coronal"


def localizer() -> Dataset:
    one = slices("coronal")[0]
    other = slices()[0]
    one.SeriesInstanceUID, one.ImageType = (
        other.SeriesInstanceUID,
        ["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    return one


def test_localizers_copies_and_damage_are_left_out_and_said(tmp_path: Path) -> None:
    write([localizer(), *slices()], tmp_path / "in")
    write(slices()[:2], tmp_path / "in" / "copies")
    (tmp_path / "in" / "notes.txt").write_text("not DICOM")
    (found,) = fetched(tmp_path / "in", tmp_path / "work").series
    assert len(found.files()) == SHAPE[2]
    assert [note.partition(":")[0] for note in found.notes] == [
        "1 file is left out",
        "2 files are left out",
    ]
    kept = fetched(tmp_path / "in", tmp_path / "kept", Rules(drop_localizers=False))
    assert len(kept.series[0].files()) == SHAPE[2] + 1
    strict = fetched(tmp_path / "in", tmp_path / "strict", Rules(drop_duplicates=False))
    assert [left.reason for left in strict.left_out] == ["has 2 copies, by their SOPInstanceUID"]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (Rules(series=("9.9",)), "is not one of the series asked for"),
        (Rules(modality=("MR", "PT")), "has modality CT; the rules take MR or PT"),
        (Rules(description=("chest*",)), "has the description 'Abdomen'; the rules take 'chest*'"),
        (Rules(plane="coronal"), "is axial; the rules take coronal"),
        (Rules(min_thickness=3), "has slices of 2 mm; the rules take 3 or more"),
        (Rules(max_thickness=1), "has slices of 2 mm; the rules take 1 or less"),
        (Rules(description=("abd*",), plane="axial", max_thickness=2), None),
    ],
)
def test_rules_say_why(rules: Rules, reason: str | None) -> None:
    about = About("1.2", "CT", "Abdomen", 3, 40, "axial", 2.0)
    assert rules.refuses(about) == reason
    assert Rules(plane="axial", max_thickness=1).refuses(About("1.2", "CT")) is None


def test_results_are_never_taken_as_images() -> None:
    assert Rules().refuses(About("1.2", "SEG")) == "has modality SEG, which has no image"


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file or folder"):
        Folder(tmp_path / "none")
    with pytest.raises(InvalidInput, match="has no DICOM files"):
        Folder(tmp_path)


def test_a_sink_replaces_nothing(tmp_path: Path) -> None:
    sink, one = FolderSink(tmp_path / "out"), slices()[0]
    sink.send([one])
    (path,) = (tmp_path / "out").rglob("*.dcm")
    before = path.read_bytes()
    one.PatientName = "Another^Name"
    sink.send([one])
    assert path.read_bytes() == before
    assert sink.has(one.StudyInstanceUID, one.SOPInstanceUID)
    assert not sink.has(one.StudyInstanceUID, "1.2")
