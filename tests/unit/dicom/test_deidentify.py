"""Nothing that identifies a patient survives de-identification, wherever in a file it is."""

from __future__ import annotations

import csv
import stat
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset

from naiad.dicom.access import ArchiveAccess
from naiad.dicom.deidentified import Deidentification, Privacy
from naiad.dicom.deidentify import Deidentifier
from naiad.dicom.findings import Algorithm, Findings, Segment
from naiad.dicom.folder import Folder, FolderSink
from naiad.dicom.places import open_source
from naiad.dicom.pseudonyms import IdentityMap, Pseudonyms, read_key
from naiad.dicom.results import instances
from naiad.dicom.rules import Rules
from naiad.dicom.simulate import Patient, series
from naiad.dicom.source import Fetched, Query
from naiad.errors import InvalidInput

dicomanonymizer = pytest.importorskip("dicomanonymizer.simpledicomanonymizer")

SECRET = "SECRET"
DATE, TIME = "19871231", "123456"
PATIENT = Patient("SECRETNAME^Jo^^Dr", "SECRETID7", "secret study")
SIZE = (16, 12, 5)
# A value for each VR that a search of all bytes finds.
VALUES: dict[str, Any] = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), SECRET),
    "DA": DATE,
    "TM": TIME,
    "DT": DATE + TIME,
    "AS": "077Y",
    "UR": f"http://{SECRET}",
    "OB": SECRET.encode(),
    "UN": SECRET.encode(),
    "DS": "8712.31",
    "IS": "871231",
    "UI": "1.2.3.8712.31.7",
}
IDENTIFYING = (SECRET, "Jo^", DATE, TIME, "077Y", "8712.31", "871231", "1.2.3.8712.31.7")


def table() -> Iterator[int]:
    """Yield the tags of the standard's table that pydicom knows."""
    for tag in dicomanonymizer.initialize_actions("dicomfields_2026c"):
        number = tag[0] << 16 | tag[1]
        if len(tag) == 2 and tag[0] > 2 and dictionary_has_tag(number):
            yield number


KEPT = {"PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}


def fill(dataset: Dataset) -> None:
    """Give a dataset every attribute of the table."""
    for tag in table():
        if pydicom.datadict.keyword_for_tag(tag) in KEPT:
            continue
        kind = dictionary_VR(tag)
        if kind == "SQ":
            item = Dataset()
            item.PatientComments = item.CodeMeaning = SECRET
            item.ReferencedSOPInstanceUID = VALUES["UI"]
            dataset.add_new(tag, kind, [item])
        elif kind in VALUES:
            dataset.add_new(tag, kind, VALUES[kind])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a series whose files have all that identifies a patient, at any depth."""
    folder = tmp_path / "originals"
    folder.mkdir()
    for number, one in enumerate(series(np.zeros(SIZE, np.int16), (2, 2, 3), PATIENT)):
        fill(one)
        nested = Dataset()
        fill(nested)
        inner = Dataset()
        inner.ReferencedSeriesSequence = [nested]
        inner.PatientName = PATIENT.name
        one.PerformedProcedureCodeSequence = [inner]
        one.ImageType, one.FrameOfReferenceUID = ["ORIGINAL", "PRIMARY", "AXIAL"], "1.2.3.8712.31.7"
        block = one.private_block(0x1001, SECRET, create=True)
        block.add_new(1, "LO", SECRET)
        one.add_new(0x60003000, "OW", SECRET.encode())
        one.add_new(0x60000022, "LO", SECRET)  # an overlay's description
        one.ConvolutionKernel = "B30f"
        one.ContrastBolusRoute = "as secretname wished"  # not in the table
        one.preamble = SECRET.encode().ljust(128, b"\0")
        one.file_meta.SourceApplicationEntityTitle = SECRET
        one.file_meta.PrivateInformationCreatorUID = VALUES["UI"]
        one.file_meta.PrivateInformation = SECRET.encode()
        one.save_as(folder / f"{one.SOPInstanceUID}.dcm", enforce_file_format=True)
        assert number < SIZE[2]
    return folder


def identities(folder: Path) -> set[str]:
    """Return the UIDs in a folder's files, which must not survive."""
    found = set[str]()
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        found |= {str(one[name].value) for name in KEPT} | {str(one.FrameOfReferenceUID)}
    return found | set(IDENTIFYING)


def fetched(folder: Path, privacy: Privacy, target: Path) -> Fetched:
    source = privacy.source(Folder(folder))
    (study,) = source.studies(Query())
    target.mkdir()
    return source.fetch(study, target, Rules())


def surviving(data: bytes, values: set[str]) -> set[str]:
    return {value for value in values if value.encode().lower() in data.lower()}


@pytest.mark.slow
def test_nothing_of_the_table_survives_in_images_segmentation_or_report(
    folder: Path, tmp_path: Path
) -> None:
    secrets = identities(folder)
    privacy = Privacy(Pseudonyms())
    found = fetched(folder, privacy, tmp_path / "work")
    (one,) = found.series
    voxels = np.zeros(SIZE, np.uint8)
    voxels[4:9, 3:8, 1:4] = 1
    images = [pydicom.dcmread(path) for path in one.files()]
    assert len(images) == SIZE[2]
    made = instances(
        Findings(
            (Segment(1, "spleen", ml=1.5),),
            (voxels,),
            affine_of(images),
            verdict="large",
            probabilities={"large": 0.75, "small": 0.25},
            picture=np.zeros((8, 8, 3), np.uint8),
        ),
        one,
        Algorithm("phantom", "1"),
        run="run",
    )
    assert {str(result.Modality) for result in made} >= {"SEG", "SR"}
    sink = privacy.sink(FolderSink(tmp_path / "sent"))
    sink.send([*images, *made])
    sent = sorted((tmp_path / "sent").rglob("*.dcm"))
    assert len(sent) == SIZE[2] + len(made)
    uids = {str(image.SOPInstanceUID) for image in images}
    for path in [*one.files(), *sent]:
        assert not surviving(path.read_bytes(), secrets), path
        assert not surviving(str(path.relative_to(tmp_path)).encode(), secrets)
        dataset = pydicom.dcmread(path)
        assert dataset.PatientIdentityRemoved == "YES"
        assert dataset.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert dataset.PatientName == dataset.PatientID == images[0].PatientID
        assert dataset.StudyInstanceUID == images[0].StudyInstanceUID
        assert not [element for element in dataset.iterall() if element.tag.is_private]
        referenced = {
            str(element.value)
            for element in dataset.iterall()
            if element.keyword == "ReferencedSOPInstanceUID"
        }
        if dataset.Modality == "SEG":
            assert referenced == uids  # the de-identified images
        if dataset.Modality == "SR":
            assert referenced >= uids
            texts = [str(element.value) for element in dataset.iterall()]
            assert any("0.75" in text for text in texts)  # measured values stay
            codes = [one.CodeValue for one in dataset.DeidentificationMethodCodeSequence]
            assert codes == ["113100", "113104"]
    assert images[0].ConvolutionKernel == "B30f"
    assert not images[0].get("ContrastBolusRoute")
    assert not list((tmp_path / "work").rglob("series*"))  # no original stays


def affine_of(images: list[Dataset]) -> np.ndarray[Any, Any]:
    """Return the affine of axial slices, to right, anterior, superior."""
    places = sorted((one.ImagePositionPatient for one in images), key=lambda place: place[2])
    first, second = places[:2]
    row, column = map(float, images[0].PixelSpacing)
    affine = np.diag([-column, -row, float(second[2]) - float(first[2]), 1.0])
    affine[:3, 3] = [-float(first[0]), -float(first[1]), float(first[2])]
    return affine


def test_pixels_and_geometry_stay(folder: Path, tmp_path: Path) -> None:
    before = {
        int(one.InstanceNumber): one for one in map(pydicom.dcmread, sorted(folder.iterdir()))
    }
    (found,) = fetched(folder, Privacy(Pseudonyms()), tmp_path / "work").series
    for path in found.files():
        one = pydicom.dcmread(path)
        same = before[int(one.InstanceNumber)]
        assert one.PixelData == same.PixelData
        assert one.ImagePositionPatient == same.ImagePositionPatient
        assert one.RescaleIntercept == same.RescaleIntercept
        assert one.SOPInstanceUID != same.SOPInstanceUID


def test_the_same_key_gives_the_same_pseudonyms_and_another_key_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = read_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path) == key
    one, two, other = Pseudonyms(key), Pseudonyms(read_key(path)), Pseudonyms()
    assert one.uid("1.2.3") == two.uid("1.2.3") != other.uid("1.2.3")
    assert one.patient("7", "A") == two.patient("7", "A") != one.patient("7", "B")
    assert one.uid("1.2.3").startswith("2.25.")
    assert len(one.uid("1.2.3")) <= 64


@pytest.mark.parametrize("text", ["", "not a key", "ab" * 31])
def test_a_key_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="key has no key of 64 hexadecimal digits"):
        read_key(path)
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="may be read by others; run: chmod 600"):
        read_key(path)


def test_the_map_is_written_only_where_it_is_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    options = Deidentification(deidentify=True, deidentify_map=path)
    privacy = options.opened()
    assert privacy is not None
    found = fetched(folder, privacy, tmp_path / "work")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rows = lines(path)
    by_kind = {row["kind"]: row for row in rows}
    assert by_kind["study"]["new"] == found.study.uid
    assert by_kind["patient"]["original"] == "SECRETID7 SECRET"  # with the issuer of the ID
    assert len([row for row in rows if row["kind"] == "instance"]) >= SIZE[2]
    again = IdentityMap(path)
    again.add(privacy.pseudonyms)
    assert lines(path) == rows


def lines(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_burned_in_names_are_refused_or_said() -> None:
    (one, *_) = series(np.zeros(SIZE, np.int16), (2, 2, 3), PATIENT)
    one.BurnedInAnnotation = "YES"
    with pytest.raises(InvalidInput, match=r"slice\.dcm has BurnedInAnnotation YES"):
        Deidentifier(Pseudonyms()).image(one, "slice.dcm")
    del one.BurnedInAnnotation
    one.Modality = "US"
    note = Deidentifier(Pseudonyms()).image(one, "slice.dcm")
    assert note.startswith("images of modality US do not say whether text is burned")


def test_a_file_that_cannot_be_read_through_is_refused() -> None:
    (one, *_) = series(np.zeros(SIZE, np.int16), (2, 2, 3), PATIENT)
    data = BytesIO()
    one.save_as(data, enforce_file_format=True)
    damaged = data.getvalue().replace(b"19700101", b"1970\xff\xff\xff\xff")
    data = BytesIO(damaged.replace(b"DA\x08\x00", b"FD\x07\x00"))
    with pytest.raises(InvalidInput, match=r"slice\.dcm cannot be de-identified"):
        Deidentifier(Pseudonyms()).image(pydicom.dcmread(data), "slice.dcm")


def test_an_option_without_deidentify_is_refused(tmp_path: Path) -> None:
    assert Deidentification().opened() is None
    with pytest.raises(InvalidInput, match="--deidentify-key requires --deidentify"):
        Deidentification(deidentify_key=tmp_path / "key").opened()


def test_a_study_is_found_and_fetched_under_its_new_uid(folder: Path, tmp_path: Path) -> None:
    privacy = Privacy(Pseudonyms())
    plain = open_source(str(folder), ArchiveAccess())
    (original,) = plain.studies(Query())
    source = privacy.source(plain)
    (study,) = source.studies(Query())
    assert study.uid == privacy.pseudonyms.uid(original.uid, "study") != original.uid
    assert study.date == ""
    found = source.fetch(original, tmp_path, Rules())  # by the original, as a watch does
    assert found.study.uid == study.uid
    assert all(one.about.description == "" for one in found.series)
