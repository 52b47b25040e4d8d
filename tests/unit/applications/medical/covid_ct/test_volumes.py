"""Volumes reach the network as MONAI's transforms would have made them."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.unit.applications.medical import test_geometry as geometry

from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct import phantoms, volumes
from naiad.applications.medical.covid_ct.schema import SHAPE
from naiad.applications.medical.covid_ct.volumes import foreground, prepare
from naiad.errors import InvalidInput


@pytest.fixture(scope="module")
def monai():
    return pytest.importorskip("monai.transforms", reason="MONAI is what ours is compared with")


def made_by_monai(monai, data: bytes, path) -> np.ndarray:
    """Apply the transforms of the tutorial's server to a file."""
    path.write_bytes(data)
    made = monai.Compose(
        [
            monai.LoadImage(reader="NibabelReader", image_only=True, dtype=np.float32),
            monai.EnsureChannelFirst(channel_dim="no_channel"),
            monai.ScaleIntensityRange(a_min=-1000, a_max=500, b_min=0.0, b_max=1.0, clip=True),
            monai.CropForeground(margin=5, allow_smaller=True),
            monai.Resize(list(SHAPE), mode="area"),
        ]
    )(str(path))
    return np.asarray(made)[0]


def box_of_tissue(size, box, rng) -> np.ndarray:
    voxels = np.full(size, -1024, np.int16)
    inside = tuple(slice(a, b) for a, b in box)
    voxels[inside] = rng.integers(-1000, 900, voxels[inside].shape)
    return voxels


RNG = np.random.default_rng(3)
CASES = {
    "a phantom": phantoms.draw(RNG, opacities=True, size=(70, 80, 33)),
    "larger than wanted": phantoms.draw(RNG, opacities=False, size=(230, 201, 80)),
    "foreground in the middle": box_of_tissue((64, 60, 50), ((20, 31), (9, 40), (30, 37)), RNG),
    "foreground at the edges": box_of_tissue((40, 41, 42), ((0, 20), (30, 41), (0, 3)), RNG),
    "one voxel": box_of_tissue((30, 30, 30), ((7, 8), (29, 30), (15, 16)), RNG) + 10,
    "one slice": box_of_tissue((30, 30, 1), ((3, 20), (4, 29), (0, 1)), RNG),
    "no air": RNG.integers(-500, 500, (50, 50, 20)).astype(np.int16),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
def test_volumes_are_those_of_monais_transforms(monai, tmp_path, case):
    data = nifti.write(CASES[case], phantoms.affine())
    expected = made_by_monai(monai, data, tmp_path / "scan.nii.gz")
    found = prepare(data, "scan")
    assert (found.dtype, found.shape) == (np.float32, SHAPE)
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"),
    [
        ("<i2", 1, -1024),
        (">i2", 2, -1000.5),
        ("<i2", -1, 100),
        ("<u1", 8, -1100),
        ("<f4", None, None),
        (">f8", None, None),
    ],
)
def test_scaled_and_swapped_numbers_are_those_of_monai(monai, tmp_path, dtype, slope, inter):
    values = RNG.integers(0, 200, (40, 50, 20)) * (RNG.random((40, 50, 20)) > 0.5)
    image = nibabel.Nifti1Image(
        values.astype(dtype),
        np.eye(4),
        header=nibabel.Nifti1Header(endianness=dtype[0]),
        dtype=np.dtype(dtype),
    )
    image.header.set_slope_inter(slope, inter)
    data = image.to_bytes()
    np.testing.assert_allclose(
        prepare(data, "scan"), made_by_monai(monai, data, tmp_path / "s.nii"), atol=1e-5, rtol=0
    )


@given(
    size=st.tuples(*[st.integers(1, 20)] * 3), seed=st.integers(0, 99), air=st.floats(0.0, 0.999)
)
def test_the_foreground_is_the_box_around_all_that_is_not_air(size, seed, air):
    rng = np.random.default_rng(seed)
    voxels = np.where(rng.random(size) < air, -1000, rng.integers(-999, 500, size)).astype("<i2")
    volume = nifti.read(nifti.write(voxels, np.eye(4)))
    there = np.argwhere(voxels > -1000)
    if not len(there):
        with pytest.raises(InvalidInput, match="it has only air"):
            foreground(volume, "scan")
        return
    first, last = there.min(0), there.max(0)
    assert foreground(volume, "scan") == tuple(
        slice(max(0, a - 5), min(n, b + 6)) for a, b, n in zip(first, last, size, strict=True)
    )


@hypothesis_settings(max_examples=20)
@given(slab=st.integers(1, 90), slices=st.integers(1, 150))
def test_how_many_slices_are_worked_on_together_makes_no_difference(slab, slices):
    voxels = np.random.default_rng(slices).integers(-1000, 500, (6, 5, slices)).astype(np.int16)
    volume = nifti.Volume(voxels, 1.0, 0.0, np.eye(4))
    box = (slice(None),) * 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes, "SHAPE", (7, 8, 64))
        expected = volumes.resized(volume, box)
        patch.setattr(volumes, "_SLAB", slab)
        np.testing.assert_allclose(volumes.resized(volume, box), expected, atol=1e-6)


def test_a_large_volume_is_never_float32_as_a_whole():
    voxels = np.full((400, 400, 200), -1000, np.int16)
    voxels[100:300, 100:300] = 40
    data = nifti.write(voxels, np.eye(4))
    tracemalloc.start()
    prepare(data, "scan")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1.3 * voxels.nbytes  # NumPy's memory: the stored volume and a little more


@pytest.mark.parametrize("air", [-1000, -1024, -3000])
def test_a_volume_of_air_is_refused(air):
    data = nifti.write(np.full((9, 9, 9), air, np.int16), np.eye(4))
    message = "scan has no voxel above -1000 HU: it has only air"
    with pytest.raises(InvalidInput, match=f"^{re.escape(message)}$"):
        prepare(data, "scan")


def test_a_file_that_is_too_large_is_not_looked_into(monkeypatch):
    monkeypatch.setattr(volumes, "MAX_BYTES", 10)
    with pytest.raises(InvalidInput, match="scan has 11 bytes; a file may have 10"):
        prepare(bytes(11), "scan")


FOUR = (*geometry.SHAPE, 2)  # MONAI compares the fourth column too, and leaves such files alone
UNREAD = {"an sform of 0", "an sform of 0 and a qform", "a quaternion that is none"}


@pytest.mark.parametrize(
    ("case", "shape"),
    [(case, geometry.SHAPE) for case in geometry.HEADERS]
    + [(case, FOUR) for case in geometry.HEADERS if case not in UNREAD],
)
def test_the_affine_is_that_of_monais_reader(
    monai, case: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    data = geometry.scan(shape, **geometry.HEADERS[case][0])
    (tmp_path / "scan.nii").write_bytes(data)
    expected = monai.LoadImage("NibabelReader")(tmp_path / "scan.nii").affine
    np.testing.assert_allclose(nifti.read_volumes(data)[-1].affine, expected, atol=1e-6)
