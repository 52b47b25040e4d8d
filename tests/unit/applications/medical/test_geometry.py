"""A contradictory header gives MONAI's affine, and maps that lie on the scan in other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from naiad.applications.medical import nifti
from naiad.errors import InvalidInput

AFFINE = np.diag([-3.75, -3.75, 7.5, 1.0])
AFFINE[:3, 3] = 10, 20, 30
SHAPE = (4, 5, 6)
ZERO = {f"srow_{axis}": [0.0] * 4 for axis in "xyz"}
OTHER = {"pixdim": [1, 3, 3, 3, 1, 1, 1, 1], "quatern_d": 0}


def scan(shape: tuple[int, ...] = SHAPE, **fields: Any) -> bytes:
    """Make a file with these header fields, right or wrong."""
    image = nibabel.Nifti1Image(np.zeros(shape, np.int16), AFFINE)
    header = image.header.copy()
    header["vox_offset"] = 352
    for field, value in fields.items():
        header[field] = value
    return header.binaryblock + image.to_bytes()[348:]


HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "agreeing": ({}, ""),
    "the other form": (
        {**OTHER, "qform_code": 1},
        "voxels are of 3.75 x 3.75 x 7.5 mm by the sform and 3 x 3 x 3 by pixdim: the qform is "
        "used, as by MONAI",
    ),
    "sizes and no other form": (
        OTHER,
        "voxels are of 3.75 x 3.75 x 7.5 mm by the sform and 3 x 3 x 3 by pixdim: the qform, of "
        "code 0, is used, as by MONAI",
    ),
    "another place": (
        {"qform_code": 1, "qoffset_x": 50},
        "the sform and the qform place the scan differently: the sform is used",
    ),
    "a negative size": (
        {"pixdim": [1, 3.75, -3.75, 7.5, 1, 1, 1, 1]},
        "pixdim is 3.75 x -3.75 x 7.5 mm: taken as 3.75 x 3.75 x 7.5",
    ),
    "a negative size of the only form": (
        {"pixdim": [1, 3.75, 3.75, -7.5, 1, 1, 1, 1], "sform_code": 0, "qform_code": 1},
        "pixdim is 3.75 x 3.75 x -7.5 mm: taken as 3.75 x 3.75 x 7.5",
    ),
    "sizes of 0": (
        {"pixdim": [1, 0, 0, 0, 1, 1, 1, 1]},
        "pixdim is 0 x 0 x 0 mm: taken as 1 x 1 x 1; voxels are of 3.75 x 3.75 x 7.5 mm by the "
        "sform and 1 x 1 x 1 by pixdim: the qform, of code 0, is used, as by MONAI",
    ),
    "an sform of 0": (
        ZERO,
        "the sform maps all voxels to a plane or a point: the qform, of code 0, is used, as by "
        "MONAI",
    ),
    "an sform of 0 and a qform": (
        {**ZERO, "qform_code": 1},
        "the sform maps all voxels to a plane or a point: the qform is used, as by MONAI",
    ),
    "no form": (
        {"sform_code": 0},
        "it has neither sform nor qform: its axes are taken as left, anterior, superior",
    ),
    "a quaternion that is none": ({"qform_code": 1, "quatern_b": 3}, ""),
    "micrometres": (
        {"xyzt_units": 3},
        "its lengths are in micrometres: taken as millimetres, as by MONAI",
    ),
    "orientation 0": ({"pixdim": [0, 3.75, 3.75, 7.5, 1, 1, 1, 1]}, ""),
    "an unknown code": ({"sform_code": 77, "qform_code": 1}, ""),
}


@pytest.mark.parametrize("case", HEADERS)
def test_contradictions_are_noted_with_what_is_taken(case: str) -> None:
    fields, notes = HEADERS[case]
    assert "; ".join(nifti.read(scan(**fields)).notes) == notes


def test_an_sform_of_0_and_sizes_of_1_leave_the_qform() -> None:
    volume = nifti.read(scan(**ZERO, pixdim=[1] * 8))
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag([-1, -1, 1]), atol=1e-6)


@pytest.mark.parametrize("case", HEADERS)
def test_a_map_lies_on_its_scan_in_simpleitk(case: str, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    given, written = tmp_path / "scan.nii", tmp_path / "map.nii.gz"
    given.write_bytes(scan(**HEADERS[case][0]))
    volume = nifti.read(given.read_bytes())
    labels = np.ones(SHAPE, np.uint8)
    written.write_bytes(nifti.write(labels, volume.affine, forms=volume.forms))
    found = sitk.ReadImage(str(written))
    if case.startswith("an sform of 0"):  # of which ITK and nibabel make nothing
        expected = nibabel.Nifti1Image.from_filename(written).affine
        np.testing.assert_allclose(expected, volume.affine, atol=1e-6)
        lps = np.diag([-1, -1, 1.0]) @ volume.affine[:3]
        np.testing.assert_allclose(found.GetOrigin(), lps[:, 3], atol=1e-6)
        np.testing.assert_allclose(found.GetSpacing(), volume.spacing, atol=1e-6)
        directions = np.reshape(found.GetDirection(), (3, 3)) * volume.spacing
        np.testing.assert_allclose(directions, lps[:, :3], atol=1e-6)
        return
    on = sitk.ReadImage(str(given))
    for read in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(found, read)(), getattr(on, read)(), atol=1e-6)


def test_what_a_client_makes_of_a_volume_keeps_its_geometry() -> None:
    volume = nifti.read(scan(**OTHER, qform_code=1))
    again = nifti.read(nifti.write(volume.stored, volume.affine, forms=volume.forms))
    np.testing.assert_array_equal(again.affine, volume.affine)
    assert again.notes == volume.notes


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**ZERO, "quatern_b": 3}, "maps all voxels to a plane or a point"),
        ({"sform_code": 0, "qform_code": 1, "qoffset_x": np.nan}, "are not finite"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 3}, "has an invalid header"),
    ],
)
def test_an_affine_that_places_nothing_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        nifti.read(scan(**fields))


def test_skewed_axes_which_itk_does_not_open_are_noted(tmp_path: Path) -> None:
    data = scan(srow_x=[-3.75, 0.004, 0, 0])
    (note,) = nifti.read(data).notes
    assert note.startswith("its axes are not at right angles: ITK opens neither it nor")
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
    (tmp_path / "scan.nii").write_bytes(data)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(tmp_path / "scan.nii"))


def test_files_that_people_reported_are_read(shared_data: Path) -> None:
    folder = shared_data / "reports" / "nifti"
    if not folder.is_dir():
        pytest.skip("there are no reported files")
    for path in folder.iterdir():
        volume = nifti.read(path.read_bytes(), name=path.name)
        assert volume.shape == (96, 96, 40)
        assert volume.stored.flat[0] == -1000  # so no byte of the header is a voxel
