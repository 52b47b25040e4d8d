"""Slices of scans, with labels in colour."""

from __future__ import annotations

import numpy as np

from naiad.tasks.views import Volume
from naiad.ui.slices import make_slices


def test_labels_are_laid_over_and_the_slice_with_most_is_first() -> None:
    voxels = np.zeros((8, 6, 4), np.int16)
    voxels[..., 2] = 100
    labels = np.zeros(voxels.shape, np.uint8)
    labels[:2, :3, 3] = 1
    slices = make_slices(Volume(voxels, (0, 100), labels, {1: "<liver>"}, aspect=2.0))
    assert (slices.count, slices.start) == (4, 3)
    picture = np.asarray(slices.picture(3))
    assert picture.shape == (512, 341, 3)  # voxels are twice as high as wide
    assert picture[0, 0].tolist() != [0, 0, 0]
    assert picture[-1, -1].tolist() == [0, 0, 0]
    assert np.asarray(slices.picture(2))[0, 0].tolist() == [255, 255, 255]
    assert "&lt;liver&gt;" in slices.legend()


def test_large_scans_are_thinned_and_bad_voxels_are_black() -> None:
    voxels = np.full((1000, 500, 2), np.nan, np.float32)
    voxels[:500] = 1.0
    slices = make_slices(Volume(voxels, (0.0, 1.0)))
    assert slices.grey.shape == (334, 167, 2)
    assert slices.grey[0, 0, 0] == 255
    assert slices.grey[-1, 0, 0] == 0
    assert slices.legend() == ""
