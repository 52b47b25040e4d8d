"""Written label maps are read back, whatever the labels."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from naiad.applications.medical.bundle.kinds import PICTURE, VOLUME, Grid


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


def read(picture: Image.Image, channels: int) -> np.ndarray:
    file = BytesIO()
    picture.save(file, "PNG")
    return np.asarray(PICTURE.read([file.getvalue()], "image", channels)[0])


def test_sixteen_bits_of_grey_stay_or_become_colours() -> None:
    values = np.array([[0, 300, 65_535]], np.uint16)
    np.testing.assert_array_equal(read(Image.fromarray(values), 1), values)
    colours = read(Image.fromarray(values), 3)
    np.testing.assert_array_equal(colours, np.repeat(values[..., None] >> 8, 3, axis=2))


def test_a_palette_is_seen_as_its_colours() -> None:
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 10, 10, 200, 200, 200])
    palette.putpixel((1, 0), 1)
    assert read(palette, 1).tolist() == [[10, 200]]
    assert read(palette, 3).tolist() == [[[10, 10, 10], [200, 200, 200]]]
