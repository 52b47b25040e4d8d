"""Label maps as files: what is written is read again, whatever the labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from naiad.pipelines.bundle.kinds import PICTURE, VOLUME, Grid


def label_maps(axes: int, low: int, high: int) -> st.SearchStrategy[np.ndarray]:
    shapes = array_shapes(min_dims=axes, max_dims=axes, max_side=9)
    return arrays(np.float32, shapes, elements=st.integers(low, high).map(float))


@settings(max_examples=50, deadline=None)
@given(maps=st.one_of(label_maps(2, 0, 300), label_maps(2, 0, 65_535)))
def test_a_picture_of_labels_is_read_as_it_was_written(maps: np.ndarray) -> None:
    labels = PICTURE.whole_numbers(maps)
    written = PICTURE.write(labels, Grid(maps.shape, np.eye(4)), compress=False)
    found = PICTURE.read_map(written, "map")
    assert found.dtype == (np.uint8 if maps.max() < 256 else np.uint16)
    np.testing.assert_array_equal(found, maps.T)  # rows first, as Pillow has it


@settings(max_examples=50, deadline=None)
@given(maps=label_maps(3, -40_000, 300), compress=st.booleans())
def test_a_volume_of_labels_is_read_as_it_was_written(maps: np.ndarray, compress: bool) -> None:
    labels = VOLUME.whole_numbers(maps)
    written = VOLUME.write(labels, Grid(maps.shape, np.eye(4)), compress=compress)
    np.testing.assert_array_equal(VOLUME.read_map(written, "map"), maps)
