"""Images reach the network as MONAI's transforms would have made them."""

from __future__ import annotations

import re
from io import BytesIO
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from naiad.applications.medical.mednist import pixels
from naiad.applications.medical.mednist.phantoms import draw
from naiad.applications.medical.mednist.pixels import decode, scaled
from naiad.applications.medical.mednist.schema import CLASSES
from naiad.errors import InvalidInput

GREY = np.random.default_rng(1).integers(20, 220, (40, 50)).astype(np.uint8)


@pytest.fixture(scope="module")
def monai():
    return pytest.importorskip("monai.transforms", reason="MONAI is what ours is compared with")


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def made_by_monai(monai, data: bytes, path) -> np.ndarray:
    """The transforms of the tutorial's server, on a file, as it has them."""
    path.write_bytes(data)
    return np.asarray(
        monai.Compose(
            [
                monai.LoadImage(reader="PILReader", image_only=True, dtype=np.float32),
                monai.ScaleIntensity(),
            ]
        )(str(path))
    )


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (GREY, "JPEG", {"quality": 90}),
        (GREY, "JPEG", {"progressive": True}),
        (GREY, "PNG", {}),
        (np.full((33, 34), 7, np.uint8), "PNG", {}),
        ((GREY.astype(np.uint16) << 8) + 77, "PNG", {}),
    ],
    ids=["JPEG", "progressive", "PNG", "one grey", "16 bits"],
)
@pytest.mark.slow
def test_grey_images_are_those_of_monais_transforms(monai, tmp_path, image, kind, options):
    data = encoded(image, kind, **options)
    (found,) = decode([data], "INPUT0")
    assert (found.dtype, found.shape) == (np.float32, image.shape[::-1])
    expected = made_by_monai(monai, data, tmp_path / f"image.{kind.lower()}")
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_the_image_is_transposed():
    image = np.zeros((40, 50), np.uint8)
    image[3, 44] = 255
    (found,) = decode([encoded(image)], "INPUT0")
    assert found[44, 3] == 1
    assert found.sum() == 1


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(GREY)
    if orientation == 6:  # the camera was turned to the right
        image = image.transpose(Image.Transpose.ROTATE_90)
    return encoded(image, exif=exif)


def palette() -> Image.Image:
    image = Image.fromarray(GREY).convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    image.info["transparency"] = bytes([0] * 10)
    return image


SAME = {
    "colours": encoded(Image.fromarray(GREY).convert("RGB")),
    "transparent": encoded(Image.fromarray(GREY).convert("LA")),
    "palette": encoded(palette(), transparency=bytes([0] * 10)),
    "upright by EXIF": turned(1),
    "turned by EXIF": turned(6),
}


@pytest.mark.parametrize("case", SAME)
def test_what_looks_the_same_is_the_same(case):
    (expected,) = decode([encoded(GREY)], "INPUT0")
    (found,) = decode([SAME[case]], "INPUT0")
    np.testing.assert_allclose(found, expected, atol=0.011)


def test_cmyk_and_colour_jpegs_are_grey_as_they_look():
    grey = Image.fromarray(np.repeat(np.arange(0, 250, 5, dtype=np.uint8)[None], 40, 0))
    (expected,) = decode([encoded(grey, "JPEG", quality=95)], "INPUT0")
    for mode in ("CMYK", "RGB"):
        (found,) = decode([encoded(grey.convert(mode), "JPEG", quality=95)], "INPUT0")
        np.testing.assert_allclose(found, expected, atol=0.03)


def huge() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in its header and nothing behind it."""
    data = bytearray(encoded(GREY))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


REFUSED = {
    "empty": (b"", "INPUT0[1, 0] is empty; it must be a JPEG, PNG, WebP, TIFF, AVIF or HEIC"),
    "GIF": (
        encoded(GREY, "GIF"),
        "INPUT0[1, 0] is a GIF; it must be a whole JPEG, PNG, WebP, TIFF, AVIF or HEIC",
    ),
    "text": (
        b"hello there",
        "INPUT0[1, 0] is not a readable image (it begins with b'hello th'); it must be a "
        "whole JPEG, PNG, WebP, TIFF, AVIF or HEIC",
    ),
    "cut off": (encoded(GREY, "JPEG")[:-300], "INPUT0[1, 0] is a damaged JPEG: image file is trun"),
    "a bomb": (huge(), "INPUT0[1, 0] is far too large; an image may have 4 megapixels"),
    "large": (
        encoded(np.zeros((2049, 2048), np.uint8)),
        "INPUT0[1, 0] has 2,048 x 2,049 pixels; an image may have 4 megapixels: make it smaller",
    ),
    "small": (
        encoded(np.zeros((31, 64), np.uint8)),
        "INPUT0[1, 0] has 64 x 31 pixels; a side must have at least 32",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_image_is_refused_with_its_place(case):
    data, message = REFUSED[case]
    with pytest.raises(InvalidInput, match=f"^{re.escape(message)}"):
        decode([encoded(GREY), data], "INPUT0")


def test_all_images_together_are_bounded(monkeypatch):
    monkeypatch.setattr(pixels, "MAX_REQUEST_PIXELS", 3 * GREY.size - 1)
    decode([encoded(GREY)] * 2, "INPUT0")
    with pytest.raises(InvalidInput, match="INPUT0 has 0 megapixels up to image 2"):
        decode([encoded(GREY)] * 3, "INPUT0")


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=9))
def test_scaled_values_go_from_0_to_1(values):
    found = scaled(np.array([values], np.float32))
    assert found.min() == 0
    assert found.max() == (1 if len(set(values)) > 1 else 0)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_phantom_of_each_kind_is_a_small_grey_image(kind):
    image = draw(kind, np.random.default_rng(0))
    assert (image.mode, image.size) == ("L", (64, 64))
    assert np.asarray(image).std() > 10


def test_a_kind_that_there_is_not_is_named():
    with pytest.raises(ValueError, match="'Foot' is not one of AbdomenCT, BreastMRI"):
        draw("Foot", np.random.default_rng(0))
