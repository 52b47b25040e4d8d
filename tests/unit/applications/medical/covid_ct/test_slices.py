"""Pictures of scans look alike, however their axes are stored."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from naiad.applications.medical.covid_ct.slices import middle_slices

SIZE = (9, 11, 7)


def scan() -> nibabel.Nifti1Image:
    """Return noise with bone in the patient's front, right and top."""
    voxels = np.random.default_rng(0).integers(-1000, 0, SIZE).astype(np.int16)
    voxels[6:, 8:, 4:] = 900
    return nibabel.Nifti1Image(voxels, np.diag([1.5, 1.0, 3.0, 1.0]))


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_pictures_do_not_depend_on_the_order_and_direction_of_axes(order: tuple[int, ...]):
    original = scan()
    expected = [np.asarray(one) for one in middle_slices(original.to_bytes(), "a")]
    for flips in product((1, -1), repeat=3):
        stored = original.as_reoriented(np.array([*zip(order, flips, strict=True)], float))
        found = [np.asarray(one) for one in middle_slices(stored.to_bytes(), "b")]
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one, other)


def test_front_and_head_are_on_top_and_the_right_side_on_the_right():
    voxels = np.full(SIZE, -1000, np.int16)
    voxels[6:, 8:, SIZE[2] // 2] = 900
    voxels[6:, SIZE[1] // 2, 4:] = 900
    made = nibabel.Nifti1Image(voxels, np.eye(4))
    axial, coronal, _ = (np.asarray(one) for one in middle_slices(made.to_bytes(), "c"))
    for picture in (axial, coronal):
        height, width = picture.shape
        assert picture[: height // 4, -width // 4 :].max() == 255
        assert picture[-height // 4 :, : width // 4].max() == 0
