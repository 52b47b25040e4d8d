"""Image files as pixels: what is read how, and what is refused with which words."""

from __future__ import annotations

import contextlib
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from naiad.applications.image import decode as module
from naiad.applications.image.decode import decode
from naiad.applications.image.schema import MAX_BYTES
from naiad.errors import InvalidInput

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def one(data: bytes, size: int = 8, crop: float | None = None) -> np.ndarray:
    (pixels,) = decode([data], size, size, crop=crop, name="images")
    return pixels


def halves(left=RED, right=BLUE, size=(40, 20)) -> Image.Image:
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def header(width: int, height: int) -> bytes:
    """A PNG of any size that has no pixels: a bomb weighs as little."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    fields = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", fields) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_picture_of_the_wanted_size_is_kept_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(one(encoded(Image.fromarray(pixels))), pixels)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([None, 0.5, 1.0]))
def test_any_size_becomes_the_wanted_one(width, height, crop):
    pixels = decode([encoded(Image.new("RGB", (width, height), RED))], 7, 5, crop=crop, name="x")
    assert pixels.shape == (1, 7, 5, 3)
    assert (pixels == RED).all()


def test_resizing_is_pillows_bilinear_as_image_clients_do_it():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    image = Image.fromarray(pixels)
    np.testing.assert_array_equal(
        one(encoded(image)), np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR))
    )


def test_large_jpegs_are_decoded_smaller_and_look_the_same():
    x, y = np.meshgrid(np.arange(1600), np.arange(1200))
    image = Image.fromarray(np.stack([x % 256, y % 256, (x + y) // 11], -1).astype(np.uint8))
    image = image.resize((1600, 1200))
    data = encoded(image, "JPEG", quality=95)
    whole = np.asarray(Image.open(BytesIO(data)).resize((64, 64), Image.Resampling.BILINEAR))
    difference = np.abs(one(data, 64).astype(int) - whole)
    assert difference.mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    upright = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8))
    transposed = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(transposed[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(one(encoded(stored, exif=exif)), np.asarray(upright))


def test_cmyk_becomes_red_green_and_blue():
    pixels = one(encoded(Image.new("RGB", (40, 40), RED).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - RED).max() < 12


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_becomes_three_equal_colours(mode):
    pixels = one(encoded(halves((0, 0, 0), WHITE).convert(mode)))
    assert (pixels[:, :3] == 0).all()
    assert (pixels[:, 5:] == 255).all()


def test_palettes_become_their_colours():
    pixels = one(encoded(halves().convert("P", palette=Image.Palette.ADAPTIVE)))
    np.testing.assert_array_equal(pixels[:, 0], np.tile(RED, (8, 1)))
    np.testing.assert_array_equal(pixels[:, -1], np.tile(BLUE, (8, 1)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode):
    image = Image.new("RGBA", (40, 20), (255, 255, 255, 255))
    image.paste((0, 0, 0, 0), (20, 0, 40, 20))  # black, but not to be seen
    image.paste((0, 0, 0, 255), (0, 0, 20, 20))
    options = {"transparency": 0} if mode == "P" else {}
    if mode == "P":
        image = Image.new("P", (40, 20), 1)
        image.putpalette([9, 9, 9, 0, 0, 0])
        image.paste(0, (20, 0, 40, 20))
    else:
        image = image.convert(mode)
    pixels = one(encoded(image, **options))
    assert (pixels[:, 0] == 0).all()
    assert (pixels[:, -1] == 255).all()


def test_half_transparent_colours_mix_with_white():
    assert one(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 128)))).tolist()[0][0] == [
        255,
        127,
        127,
    ]


def test_16_bits_of_grey_keep_their_upper_8():
    grey = np.repeat(np.array([[0, 0x1234, 0x80FF, 0xFFFF]], np.uint16), 4, axis=0)
    pixels = one(encoded(Image.fromarray(grey)), 4)
    assert pixels[0, :, 0].tolist() == [0, 0x12, 0x80, 0xFF]


def test_of_an_animation_the_first_picture_is_taken():
    first, second = (Image.new("RGB", (16, 16), colour) for colour in (RED, BLUE))
    data = encoded(first, save_all=True, append_images=[second], duration=10)
    assert Image.open(BytesIO(data)).n_frames == 2
    assert (one(data) == RED).all()


def test_of_a_file_of_a_camera_with_several_pictures_the_first_is_taken():
    first, second = (Image.new("RGB", (16, 16), colour) for colour in (WHITE, BLUE))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert (one(data) == WHITE).all()


def test_a_crop_is_the_middle_of_the_picture():
    image = Image.new("RGB", (300, 100), BLUE)
    image.paste(RED, (100, 0, 200, 100))
    assert (one(encoded(image), crop=0.9) == RED).all()
    assert (one(encoded(image))[:, 0] == BLUE).all()


def test_a_long_thin_picture_costs_no_more_than_its_pixels():
    image = Image.new("L", (1, 200_000), 7)
    assert (one(encoded(image), 224, crop=0.875) == 7).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"images\[1\] is empty; it must be a JPEG, PNG, WebP"),
        (b"hello, world", r"images\[1\] is not a readable image \(it begins with b'hello, w'"),
        (b"GIF89a" + bytes(20), r"images\[1\] is a GIF; it must be a whole JPEG, PNG, WebP"),
        (b"RIFF0000WEBPVP8 ", r"images\[1\] is a damaged WebP"),
        (b"\0\0\0\x18ftypheic", r"images\[1\] is a damaged HEIC"),
        (b"\0\0\0\x18ftypisom", r"images\[1\] is a video or another MP4 file"),
        (b"<svg></svg>", r"images\[1\] is text, perhaps SVG or HTML"),
        (header(10_000, 5_001), r"images\[1\] has 10,000 x 5,001 pixels; .* 50 megapixels"),
        (header(60_000, 60_000), r"images\[1\] is far too large; an image may have 50 megapixels"),
        (header(10_000, 10_000), r"images\[1\] (has 10,000 x|is far too large)"),
        (header(8, 8), r"images\[1\] is a damaged PNG"),
        (encoded(halves(), "JPEG")[:-30], r"images\[1\] is a damaged JPEG: .*truncated"),
        (encoded(halves())[:-40], r"images\[1\] is a damaged PNG"),
        (b"\xff\xd8\xff", r"images\[1\] is a damaged JPEG"),
    ],
)
def test_what_is_no_image_or_too_large_is_refused_by_its_place(data, message):
    with pytest.raises(InvalidInput, match=message):
        decode([encoded(halves()), data], 8, 8, name="images")


def test_a_file_of_too_many_bytes_is_refused_unread():
    with pytest.raises(InvalidInput, match=r"images\[0\] has 20,971,521 bytes; a file may have"):
        one(bytes(MAX_BYTES + 1))


def test_pictures_that_are_too_much_together_are_refused_before_any_is_decoded(monkeypatch):
    monkeypatch.setattr(module, "_pixels", lambda *_: pytest.fail("decoded"))
    files = [header(7000, 7000)] * 5
    with pytest.raises(InvalidInput, match=r"images\[4\]: images has 245 megapixels up to here"):
        decode(files, 8, 8, name="images")


@given(st.data())
def test_damaged_files_are_refused_or_read_and_nothing_else(data):
    whole = bytearray(encoded(halves(), data.draw(st.sampled_from(["JPEG", "PNG"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    with contextlib.suppress(InvalidInput):
        assert one(bytes(whole[:cut])).shape == (8, 8, 3)
