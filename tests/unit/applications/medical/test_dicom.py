"""DICOM series become volumes with every voxel's place and value; nothing is lost silently."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from naiad.applications.medical import nifti
from naiad.applications.medical.dicom import find_series
from naiad.errors import InvalidInput

STORED = np.random.default_rng(4).integers(0, 3000, (7, 5, 6)).astype(np.uint16)
"""Pixels ``[slice, row, column]``."""
ORIENTATION = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
NORMAL = np.cross(ORIENTATION[:3], ORIENTATION[3:])
ORIGIN = np.array([-100.0, -80.0, 20.0])
UID = generate_uid(entropy_srcs=["series"])


def a_slice(number: int, pixels: np.ndarray = STORED, **changes: Any) -> Dataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["slice", str(number)])
    one = Dataset()
    one.file_meta = meta
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    one.SeriesInstanceUID, one.Modality, one.SeriesDescription = UID, "CT", "thorax"
    one.Rows, one.Columns = pixels.shape[1:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.PixelSpacing = [0.7, 0.9]
    one.ImageOrientationPatient = list(ORIENTATION)
    one.ImagePositionPatient = [round(float(x), 3) for x in ORIGIN + 2.5 * number * NORMAL]
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.PixelData = pixels[number].tobytes()
    for tag, value in changes.items():
        if value is None:
            delattr(one, tag)
        else:
            setattr(one, tag, value)
    return one


def write_series(folder: Path, slices: list[Dataset]) -> Path:
    """Write files whose names have no order."""
    folder.mkdir(exist_ok=True)
    for number, one in enumerate(slices):
        one.save_as(folder / f"{(number * 5) % 7:02}.dcm", enforce_file_format=True)
    return folder


def whole_series(folder: Path, **changes: Any) -> Path:
    return write_series(folder, [a_slice(n, **changes) for n in range(len(STORED))])


def test_every_voxel_has_its_value_and_its_place(tmp_path: Path) -> None:
    (tmp_path / "DICOM").mkdir()
    (tmp_path / "DICOM" / "readme.txt").write_text("exported on a Monday")
    (series,) = find_series(whole_series(tmp_path / "DICOM"))
    assert (len(series), series.modality, series.description) == (7, "CT", "thorax")
    volume = series.volume()
    assert volume.stored.dtype == np.int16
    np.testing.assert_array_equal(volume.voxels(), STORED.T.astype(np.float32) - 1024)
    for x, y, z in ((0, 0, 0), (5, 0, 0), (0, 4, 0), (0, 0, 6), (3, 2, 4)):
        # PS3.3 C.7.6.2.1.1: along a row by the column spacing, down a column by the row spacing.
        place = ORIGIN + 0.9 * x * np.array(ORIENTATION[:3]) + 0.7 * y * np.array(ORIENTATION[3:])
        left_posterior = place + 2.5 * z * NORMAL
        found = volume.affine @ (x, y, z, 1)
        np.testing.assert_allclose(found[:3], left_posterior * (-1, -1, 1), atol=2e-3)
    again = nifti.read(nifti.write(volume.stored, volume.affine))
    np.testing.assert_array_equal(again.voxels(), volume.voxels())
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-4)


def test_a_zip_archive_is_as_the_folder(tmp_path: Path) -> None:
    folder = whole_series(tmp_path / "series")
    with zipfile.ZipFile(tmp_path / "series.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"../../{path.name}")  # never extracted, so harmless
    (series,) = find_series(tmp_path / "series.zip")
    (other,) = find_series(folder)
    np.testing.assert_array_equal(series.volume().stored, other.volume().stored)
    np.testing.assert_array_equal(series.volume().affine, other.volume().affine)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(7)))
def test_the_order_of_the_files_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    folder = write_series(tmp_path_factory.mktemp("series"), [a_slice(n) for n in order])
    (series,) = find_series(folder)
    np.testing.assert_array_equal(series.volume().stored, STORED.T.astype(np.int16) - 1024)


def test_slopes_that_differ_by_slice_give_floats(tmp_path: Path) -> None:
    slices = [a_slice(n, RescaleSlope=0.5 + n, RescaleIntercept=0) for n in range(7)]
    (series,) = find_series(write_series(tmp_path / "pet", slices))
    volume = series.volume()
    assert volume.stored.dtype == np.float32
    slopes = np.arange(7, dtype=np.float32) + np.float32(0.5)
    np.testing.assert_allclose(volume.stored, STORED.T * slopes)


def test_compressed_slices_are_decoded(tmp_path: Path) -> None:
    slices = [a_slice(n) for n in range(7)]
    for one in slices:
        one.compress(RLELossless)
    (series,) = find_series(write_series(tmp_path / "rle", slices))
    np.testing.assert_array_equal(series.volume().stored, STORED.T.astype(np.int16) - 1024)


def test_series_in_one_folder_are_kept_apart(tmp_path: Path) -> None:
    folder = whole_series(tmp_path / "study")
    for number in (0, 1):
        other = a_slice(number, SeriesInstanceUID=generate_uid(entropy_srcs=["other"]))
        other.save_as(folder / f"scout{number}.dcm", enforce_file_format=True)
    assert [len(series) for series in find_series(folder)] == [7, 2]


def drop(number: int) -> Callable[[list[Dataset]], None]:
    return lambda slices: slices.pop(number)


def change(**tags: Any) -> Callable[[list[Dataset]], None]:
    def apply(slices: list[Dataset]) -> None:
        slices[2] = a_slice(2, **tags)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop(3), r"are 5\.00 mm apart, other slices 2\.50; is a slice missing\?"),
        (lambda s: s.append(a_slice(2)), "are at the same position"),
        (change(ImagePositionPatient=None), "has no ImagePositionPatient"),
        (change(PixelSpacing=[0.7, 0.8]), r"has PixelSpacing \[0.7, 0.8\]"),
        (change(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), "is a localizer among them"),
        (change(NumberOfFrames=3), "has 3 frames"),
        (change(SamplesPerPixel=3), "is in colour"),
        (change(Rows=4), "the slices of a series must have the same size"),
        (change(PixelData=b"\0\0"), "pixels cannot be decoded"),
    ],
)
def test_a_series_that_is_not_a_volume_is_refused(
    tmp_path: Path, damage: Callable[[list[Dataset]], None], message: str
) -> None:
    slices = [a_slice(n) for n in range(7)]
    damage(slices)
    folder = tmp_path / "series"
    folder.mkdir()
    for number, one in enumerate(slices):
        one.save_as(folder / f"{number:02}.dcm", enforce_file_format=True)
    (series,) = find_series(folder)
    with pytest.raises(InvalidInput, match=message):
        series.volume()


def test_a_place_without_a_series_says_so(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear Lena")
    with pytest.raises(InvalidInput, match="has no DICOM images"):
        find_series(tmp_path)
    with pytest.raises(InvalidInput, match="is not a readable zip archive"):
        find_series(tmp_path / "letter.txt")


def test_an_archive_that_unpacks_to_too_much_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.applications.medical.dicom._LARGEST_FILE", 1_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("slice.dcm", bytes(2_000_000))
    with pytest.raises(InvalidInput, match=r"slice\.dcm unpacks to 2,000,000 bytes"):
        find_series(tmp_path / "bomb.zip")


def test_a_volume_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    slices = [a_slice(n) for n in range(2)]
    for one in slices:
        one.Rows = one.Columns = 60_000
    (series,) = find_series(write_series(tmp_path / "large", slices))
    with pytest.raises(InvalidInput, match="60000 x 60000 x 2 voxels are 14,400,000,000 bytes"):
        series.volume()
