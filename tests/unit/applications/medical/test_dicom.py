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
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct.task import CovidCtTask
from naiad.applications.medical.dicom import Series, find_series
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
        (
            lambda s: s.append(a_slice(2, STORED[::-1], SOPInstanceUID="1.2.3")),
            "are at the same position .*, with different pixels; give one phase",
        ),
        (change(ImagePositionPatient=None), "has no ImagePositionPatient"),
        (change(PixelSpacing=[0.7, 0.8]), r"has PixelSpacing \[0.7, 0.8\]"),
        (change(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]), "is a localizer among them"),
        (change(SamplesPerPixel=3), "is in colour"),
        (change(Rows=4), "the slices of a series must have the same size"),
        (
            change(PixelData=b"\0\0"),
            r"pixels cannot be decoded \(Explicit VR Little Endian\): [^;]+$",
        ),
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
    for path in (tmp_path, tmp_path / "letter.txt"):
        with pytest.raises(InvalidInput, match="has no DICOM images"):
            find_series(path)
    (tmp_path / "letter.zip").write_text("dear Lena")
    with pytest.raises(InvalidInput, match="is not a readable zip archive"):
        find_series(tmp_path / "letter.zip")


def test_an_archive_that_unpacks_to_too_much_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.applications.medical.dicom.frames.LARGEST_FILE", 1_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("slice.dcm", bytes(2_000_000))
    with pytest.raises(InvalidInput, match=r"slice\.dcm unpacks to 2,000,000 bytes"):
        find_series(tmp_path / "bomb.zip")


def test_files_that_cannot_be_used_are_reported_and_the_rest_go_on(tmp_path: Path) -> None:
    folder = whole_series(tmp_path / "series")
    whole = (folder / "00.dcm").read_bytes()
    bad = {
        "cut.dcm": whole[: whole.index(b"\x28\x00\x30\x00")],  # before PixelSpacing
        "junk.dcm": bytes(128) + b"DICM" + b"\xff" * 90,
        "empty.dcm": b"",
        "text.dcm": b"dear Lena",
        "wrong.dcm": whole.replace(b"0.7\\0.9 ", b"0.7,0.9 "),
    }
    # Nothing to report: macOS's own, the index of a disc, and whatever is no DICOM.
    others = {"._00.dcm": b"Mac OS X", "DICOMDIR": whole[:400], "letter.txt": b"dear Lena"}
    for name, data in (bad | others).items():
        (folder / name).write_bytes(data)
    found = find_series(folder)
    assert [len(series) for series in found] == [7]
    np.testing.assert_array_equal(found[0].volume().stored, STORED.T.astype(np.int16) - 1024)
    said = "\n".join(str(error) for _, error in found.refused)
    for name in bad:
        assert name in said
    for name in others:
        assert name not in said


def test_an_encrypted_or_damaged_archive_is_reported(tmp_path: Path) -> None:
    folder = whole_series(tmp_path / "series")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    start = data.index(b"PK\1\2")  # the first entry of the directory: its bit 0 is encryption
    data[start + 8] |= 1
    (tmp_path / "one.zip").write_bytes(data)
    found = find_series(tmp_path / "one.zip")
    assert [len(series) for series in found] == [6]
    assert "00.dcm is encrypted; unpack the archive" in str(found.refused[0][1])
    while (start := data.find(b"PK\1\2", start + 1)) > 0:
        data[start + 8] |= 1
    (tmp_path / "all.zip").write_bytes(data)
    with pytest.raises(InvalidInput, match=r"00\.dcm is encrypted; .*\(likewise .* and 1 more\)"):
        find_series(tmp_path / "all.zip")


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_a_preamble_are_read(tmp_path: Path, implicit: bool) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    for number in range(7):
        one = a_slice(number)
        del one.file_meta
        one.save_as(folder / f"IM{number}", implicit_vr=implicit, little_endian=True)
    (series,) = find_series(folder)
    np.testing.assert_array_equal(series.volume().stored, STORED.T.astype(np.int16) - 1024)


def test_copies_of_a_slice_are_left_out(tmp_path: Path) -> None:
    exported = [a_slice(n) for n in range(7)]
    exported += [a_slice(3), a_slice(5, SOPInstanceUID="1.2.3")]  # a copy, and a new instance
    exported += [a_slice(1, SOPInstanceUID="1.2.4", PixelData=b"\0\0")]  # and a damaged one
    folder = tmp_path / "twice"
    folder.mkdir()
    for number, one in enumerate(exported):
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    with pytest.warns(UserWarning, match=r"1 of the files are copies of others.*7\.dcm"):
        (series,) = find_series(folder)
    assert len(series) == 9
    with pytest.warns(UserWarning, match="2 slices repeat the position"):
        volume = series.volume()
    np.testing.assert_array_equal(volume.stored, STORED.T.astype(np.int16) - 1024)


def test_rounded_positions_are_an_even_stack_and_uneven_ones_need_a_tolerance(
    tmp_path: Path,
) -> None:
    def stack(name: str, heights: list[float]) -> Series:
        flat: dict[str, Any] = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        slices = [
            a_slice(n, **flat, ImagePositionPatient=[0, 0, height])
            for n, height in enumerate(heights)
        ]
        (series,) = find_series(write_series(tmp_path / name, slices))
        return series

    rounded = stack("rounded", [round(0.625 * n, 1) for n in range(7)]).volume()
    (note,) = rounded.notes
    assert "slices lie up to 0.039 mm away from even spacing, and 0.10 mm are allowed" in note
    assert rounded.spacing[2] == pytest.approx(0.625, abs=0.02)
    uneven = stack("uneven", [0, 1, 2, 3.4, 4.4, 5.4, 6.4])
    with pytest.raises(InvalidInput, match=r"1\.40 mm apart, .* raise position_tolerance"):
        uneven.volume()
    assert uneven.volume(position_tolerance=0.5).spacing[2] == pytest.approx(1.1, abs=0.05)
    # A missing slice of a fine stack is within 0.1 mm, but not within a quarter of the spacing.
    with pytest.raises(InvalidInput, match="is a slice missing"):
        stack("micro", [0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7]).volume()


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_itk_opens_the_volume_of_rounded_cosines(tmp_path: Path, number: int) -> None:
    sitk = pytest.importorskip("SimpleITK")
    angle = np.radians(10 * number + 3.3)
    cosines = [
        *(round(float(v), 4) for v in (np.cos(angle), np.sin(angle) * 0.6, np.sin(angle) * 0.8)),
        *(round(float(v), 4) for v in (-np.sin(angle), np.cos(angle) * 0.6, np.cos(angle) * 0.8)),
    ]
    normal = np.cross(cosines[:3], cosines[3:])
    slices = [
        a_slice(
            n,
            ImageOrientationPatient=cosines,
            ImagePositionPatient=[round(float(x), 2) for x in ORIGIN + 2.5 * n * normal],
        )
        for n in range(7)
    ]
    (series,) = find_series(write_series(tmp_path / "oblique", slices))
    volume = series.volume()
    path = tmp_path / "volume.nii.gz"
    path.write_bytes(nifti.write(volume.stored, volume.affine))
    image = sitk.ReadImage(str(path))
    place = np.array(image.TransformIndexToPhysicalPoint((3, 2, 4)))  # left, posterior, superior
    np.testing.assert_allclose(place * (-1, -1, 1), (volume.affine @ (3, 2, 4, 1))[:3], atol=1e-3)
    exact = ORIGIN + 3 * 0.9 * np.array(cosines[:3]) + 2 * 0.7 * np.array(cosines[3:])
    np.testing.assert_allclose(place, exact + 4 * 2.5 * normal, atol=0.02)


def test_the_verdict_s_task_takes_a_tolerance(tmp_path: Path) -> None:
    heights = [2.5 * n + (0.4 if n == 3 else 0) for n in range(7)]
    places = [[round(float(x), 3) for x in ORIGIN + height * NORMAL] for height in heights]
    slices = [a_slice(n, ImagePositionPatient=place) for n, place in enumerate(places)]
    folder = write_series(tmp_path / "uneven", slices)
    task = CovidCtTask()
    ((_, refused),) = task.open_series(folder, task.Options()).read(range(1))
    assert isinstance(refused, InvalidInput)
    with pytest.warns(UserWarning, match=r"and 0\.50 mm are allowed"):
        ((_, scan),) = task.open_series(folder, task.Options(0.5)).read(range(1))
    assert nifti.read(scan).stored.shape == (6, 5, 7)


def leaning(step: np.ndarray, stray: float = 0.0) -> list[Dataset]:
    """Seven slices whose values are a linear function of the place; the fourth may be elsewhere."""
    places = [n * step + (np.array([0, stray, 0]) if n == 3 else 0) for n in range(7)]
    rows, columns = np.mgrid[:5, :6]
    pixels = np.stack(
        [
            1000 + 25 * (x + 0.9 * columns) + 40 * (y + 0.7 * rows) + 30 * z + 1024
            for x, y, z in places
        ]
    ).astype(np.uint16)
    return [
        a_slice(
            n,
            pixels,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[round(float(x), 4) for x in place],
        )
        for n, place in enumerate(places)
    ]


@pytest.mark.parametrize("degrees", [15, -20])
def test_a_gantry_s_tilt_is_corrected_and_every_value_stays_in_its_place(
    tmp_path: Path, degrees: float
) -> None:
    step = 2.5 * np.array([0, np.tan(np.radians(degrees)), 1])
    (series,) = find_series(write_series(tmp_path / "tilted", leaning(step)))
    volume = series.volume()
    (note,) = volume.notes
    assert f"{abs(degrees):.1f} degrees to their normal (gantry tilt)" in note
    more = int(np.ceil(6 * abs(step[1]) / 0.7))
    assert volume.stored.shape == (6, 5 + more, 7)
    axes = volume.affine[:3, :3]
    np.testing.assert_allclose(axes.T @ axes, np.diag([0.9**2, 0.7**2, 2.5**2]), atol=1e-6)
    seen = 0
    for column, row, number in np.ndindex(volume.stored.shape):
        x, y, z = (volume.affine @ (column, row, number, 1))[:3] * (-1, -1, 1)
        if number * step[1] <= y <= number * step[1] + 4 * 0.7:  # in the slice itself
            expected = 1000 + 25 * x + 40 * y + 30 * z
            assert volume.stored[column, row, number] == pytest.approx(expected, abs=1.6)
            seen += 1
    assert seen >= 6 * 7 * 4


def test_a_slice_out_of_line_is_refused(tmp_path: Path) -> None:
    slices = leaning(2.5 * np.array([0, 0.2, 1]), stray=1.5)
    (series,) = find_series(write_series(tmp_path / "stray", slices))
    with pytest.raises(InvalidInput, match=r"mm out of line with the other slices"):
        series.volume()


def test_slices_that_lean_more_than_any_gantry_are_refused(tmp_path: Path) -> None:
    slices = leaning(2.5 * np.array([0, 1.2, 1]))
    (series,) = find_series(write_series(tmp_path / "flat", slices))
    with pytest.raises(InvalidInput, match=r"stacked at 50\.2 degrees to their normal; at most 45"):
        series.volume()


def enhanced(phases: int = 1, **changes: Any) -> Dataset:
    """An enhanced CT with all slices of all phases, in no order; phase p is p higher."""
    one = a_slice(0)
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    for tag in ("PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"):
        delattr(one, tag)
    del one.RescaleSlope, one.RescaleIntercept
    frames = [(phase, n) for n in (3, 0, 6, 1, 5, 2, 4) for phase in range(phases)]
    one.NumberOfFrames = len(frames)
    pointers = ("TemporalPositionIndex", "InStackPositionNumber")
    one.DimensionIndexSequence = [item(DimensionIndexPointer=tag_for_keyword(p)) for p in pointers]
    shared = Dataset()
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=list(ORIENTATION))]
    shared.PixelMeasuresSequence = [item(PixelSpacing=[0.7, 0.9], SliceThickness=2.5)]
    one.SharedFunctionalGroupsSequence = [shared]
    own: list[Dataset] = []
    for phase, n in frames:
        group = Dataset()
        group.FrameContentSequence = [item(DimensionIndexValues=[phase + 1, n + 1])]
        position = [round(float(x), 3) for x in ORIGIN + 2.5 * n * NORMAL]
        group.PlanePositionSequence = [item(ImagePositionPatient=position)]
        scale = item(RescaleSlope=1, RescaleIntercept=phase - 1024)
        group.PixelValueTransformationSequence = [scale]
        own.append(group)
    one.PerFrameFunctionalGroupsSequence = own
    one.PixelData = b"".join(STORED[n].tobytes() for _, n in frames)
    for tag, value in changes.items():
        setattr(one, tag, value)
    return one


def item(**tags: Any) -> Dataset:
    made = Dataset()
    for tag, value in tags.items():
        setattr(made, tag, value)
    return made


@pytest.mark.parametrize("compressed", [False, True])
def test_an_enhanced_file_is_as_the_classic_series(tmp_path: Path, compressed: bool) -> None:
    one = enhanced()
    if compressed:
        one.compress(RLELossless)
    one.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    (series,) = find_series(tmp_path / "ct.dcm")
    (classic,) = find_series(whole_series(tmp_path / "classic"))
    assert (len(series), series.modality) == (7, "CT")
    np.testing.assert_array_equal(series.volume().stored, classic.volume().stored)
    np.testing.assert_allclose(series.volume().affine, classic.volume().affine, atol=1e-9)


def test_phases_of_an_enhanced_file_are_series(tmp_path: Path) -> None:
    enhanced(phases=3).save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    found = find_series(tmp_path)
    assert [series.description for series in found] == [f"thorax ({n} of 3)" for n in (1, 2, 3)]
    for phase, series in enumerate(found):
        expected = STORED.T.astype(np.int16) - 1024 + phase
        np.testing.assert_array_equal(series.volume().stored, expected)


def test_frames_without_positions_are_refused(tmp_path: Path) -> None:
    whole_series(tmp_path / "series")
    enhanced(PerFrameFunctionalGroupsSequence=[]).save_as(tmp_path / "series" / "cine.dcm")
    found = find_series(tmp_path / "series")
    assert len(found) == 1
    assert "has 7 frames, and positions of 0; only enhanced CT" in str(found.refused[0][1])


def test_floating_point_pixels_stay_so(tmp_path: Path) -> None:
    values = STORED.astype(np.float32) / 7
    slices = [a_slice(n, PixelData=None, RescaleIntercept=0) for n in range(7)]
    for number, one in enumerate(slices):
        del one.BitsStored, one.HighBit, one.PixelRepresentation
        one.BitsAllocated, one.FloatPixelData = 32, values[number].tobytes()
    (series,) = find_series(write_series(tmp_path / "map", slices))
    np.testing.assert_array_equal(series.volume().stored, values.T)


def test_a_volume_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    slices = [a_slice(n) for n in range(2)]
    for one in slices:
        one.Rows = one.Columns = 60_000
    (series,) = find_series(write_series(tmp_path / "large", slices))
    with pytest.raises(InvalidInput, match="60000 x 60000 x 2 voxels are 14,400,000,000 bytes"):
        series.volume()
