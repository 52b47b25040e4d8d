"""Pairs of .hdr and .img are one scan, whichever of the two is given."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from naiad.applications.medical import nifti
from naiad.applications.medical.bundle.scans import Scans, find_inputs, read_scan
from naiad.applications.medical.covid_ct.task import CovidCtTask
from naiad.applications.medical.nifti_files import read_nifti
from naiad.errors import InvalidInput

SCAN = np.arange(-60, 60, dtype=np.int16).reshape(4, 5, 6)
AFFINE = np.diag([-2.0, 2.0, 3.0, 1.0])


def pair(folder: Path, kind: type = nibabel.Nifti1Pair, name: str = "ct.img") -> Path:
    folder.mkdir(exist_ok=True)
    kind(SCAN, AFFINE).to_filename(folder / name)
    return folder


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("name", ["ct.img", "ct.img.gz"])
def test_a_pair_is_read_as_one_file(kind: type, name: str, tmp_path: Path) -> None:
    for path in pair(tmp_path / "in", kind, name).iterdir():
        volume = nifti.read(read_nifti(path, 10_000))
        np.testing.assert_array_equal(volume.stored, SCAN)
        np.testing.assert_allclose(volume.affine, AFFINE)


def test_a_pair_is_found_once_in_a_folder_or_among_files(tmp_path: Path) -> None:
    folder = pair(tmp_path / "in")
    (folder / "other.hdr").write_text("of another program")
    (folder / "ct2.nii").write_bytes(nifti.write(SCAN, AFFINE, compress=False))
    header, image = folder / "ct.hdr", folder / "ct.img"
    for find in (CovidCtTask().find, find_inputs):
        assert [*find(folder)] == [header, folder / "ct2.nii"]
        assert [*find(image)] == [*find(header)] == [header]
    np.testing.assert_array_equal(nifti.read(read_scan(image)).stored, SCAN)
    np.testing.assert_array_equal(nifti.read(CovidCtTask().read(image)).stored, SCAN)


def test_half_a_pair_and_other_headers_are_refused_by_name(tmp_path: Path) -> None:
    folder = pair(tmp_path / "in")
    whole = (folder / "ct.hdr").read_bytes()
    for content, message in (
        (b"", "ct.hdr is not a NIfTI header"),
        (whole[:344] + bytes(8), "ct.hdr is the header of an Analyze 7.5 pair"),
        (gzip.compress(whole)[:40], "ct.hdr is a damaged gzip file"),
    ):
        (folder / "ct.hdr").write_bytes(content)
        with pytest.raises(InvalidInput, match=message):
            read_nifti(folder / "ct.img", 10_000)
    (folder / "ct.img").unlink()
    with pytest.raises(InvalidInput, match=r"ct\.hdr has no voxels; put the \.img file beside it"):
        read_nifti(folder / "ct.hdr", 10_000)
    (folder / "ct.hdr").rename(folder / "ct.img")
    with pytest.raises(InvalidInput, match=r"ct\.img has no header; put the \.hdr file beside it"):
        read_nifti(folder / "ct.img", 10_000)


def test_each_volume_of_a_file_is_a_scan(tmp_path: Path) -> None:
    path = tmp_path / "ct.nii.gz"
    path.write_bytes(nibabel.Nifti1Image(np.stack([SCAN, -SCAN], -1), AFFINE).to_bytes())
    scans = Scans(path)
    (first, _), (second, (data,)) = scans.read(range(len(scans)))
    assert [first, second] == [f"{path} (volume 1 of 2)", f"{path} (volume 2 of 2)"]
    np.testing.assert_array_equal(nifti.read(data).stored, -SCAN)


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64", "uint64", ">i4"])
def test_a_volume_goes_back_to_the_server_as_it_was_read(dtype: str, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(SCAN.astype(dtype), AFFINE, dtype=dtype)
    sent = read_scan(nifti.read(image.to_bytes()))
    found = nifti.read(sent)
    np.testing.assert_array_equal(found.stored, SCAN.astype(dtype))
    assert found.stored.dtype.newbyteorder("=") == np.dtype(dtype).newbyteorder("=")
