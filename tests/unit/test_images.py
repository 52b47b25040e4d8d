"""Picture files: every format that is read, and metadata that must not matter."""

from __future__ import annotations

import contextlib
import struct
import zlib
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from naiad import image_formats, images
from naiad.errors import InvalidInput
from naiad.files import files_below, find_files
from naiad.image_formats import FORMATS, SUFFIXES, format_of
from naiad.image_parts import parts_of
from naiad.images import decoding, eight_bits, open_picture, upright

pillow_heif.register_heif_opener()

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
SMOOTH = np.stack(np.meshgrid(np.arange(0, 240, 4), np.arange(0, 160, 4)), -1).astype(np.uint8)
SMOOTH = np.concatenate([SMOOTH, SMOOTH[:, :, :1]], -1)  # 40 x 60, for lossy formats
ORIENTATION, X_RESOLUTION, EXIF_IFD = 0x0112, 0x011A, 0x8769


def encoded(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    file = BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    image = open_picture(data, "picture", most_bytes=1 << 24, most_pixels=10_000)
    with decoding(image, "picture"):
        return np.asarray(upright(image))


def chunk(kind: bytes, content: bytes, crc: int = 0) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body) ^ crc)


def png(bits: int, colours: int, row: bytes, width: int, *chunks: bytes) -> bytes:
    fields = struct.pack(">IIBBBBB", width, 1, bits, colours, 0, 0, 0)
    parts = [chunk(b"IHDR", fields), *chunks, chunk(b"IDAT", zlib.compress(b"\0" + row))]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IEND", b"")])


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def with_segments(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with segments at its begin."""
    written = (struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return data[:2] + b"".join(written) + data[2:]


def unwritable_exif(orientation: int, order: str = "<") -> bytes:
    """EXIF whose resolution is -1/0, signed where the standard has it without a sign."""
    entries = (
        struct.pack(f"{order}HHIHH", ORIENTATION, 3, 1, orientation, 0),
        struct.pack(f"{order}HHII", X_RESOLUTION, 10, 1, 38),
    )
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    head = start + struct.pack(f"{order}IH", 8, 2) + b"".join(entries)
    return head + struct.pack(f"{order}Iii", 0, -1, 0)


LOSSLESS = {
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {"lossless": True}),
    **{
        f"TIFF, {name}": ("TIFF", {"compression": name})
        for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
    },
    "BigTIFF": ("TIFF", {"big_tiff": True}),
}
LOSSY = {"JPEG": {"quality": 95}, "AVIF": {"quality": 90}, "HEIF": {"quality": 90}}


@pytest.mark.parametrize("case", LOSSLESS)
def test_lossless_formats_are_read_exactly(case: str) -> None:
    kind, options = LOSSLESS[case]
    np.testing.assert_array_equal(decoded(encoded(PIXELS, kind, **options)), PIXELS)


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_are_read_closely(kind: str) -> None:
    found = decoded(encoded(SMOOTH, kind, **LOSSY[kind]))
    assert np.abs(found.astype(int) - SMOOTH).mean() < 4


def test_every_format_is_tested_and_has_its_suffixes() -> None:
    tested = {kind for kind, _ in LOSSLESS.values()} | LOSSY.keys()
    assert tested == {one.pillow for one in FORMATS}
    for one in FORMATS:
        assert all(Image.registered_extensions()[suffix] == one.pillow for suffix in one.suffixes)


TURNED = {  # an upright picture as a camera stores it, by the orientation that it notes
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF"])
def test_a_turned_picture_is_upright_in_every_format(kind: str, orientation: int) -> None:
    stored = np.ascontiguousarray(TURNED[orientation](SMOOTH))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    found = decoded(encoded(stored, kind, exif=exif))
    assert found.shape == SMOOTH.shape
    assert np.abs(found.astype(int) - SMOOTH).mean() < 8


@pytest.mark.parametrize(("orientation", "angle"), [(3, 2), (6, 3), (8, 1)])
def test_a_turned_heic_is_turned_once(orientation: int, angle: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation  # as telephones write it, beside the property that counts
    straight = np.tile(np.arange(128, dtype=np.uint8)[None, :, None], (64, 1, 3))
    straight[32:] = 200
    stored = np.ascontiguousarray(TURNED[orientation](straight))
    depth = b"pixi\0\0\0\0\3\x08\x08\x08"
    data = encoded(stored, "HEIF", exif=exif)
    assert depth in data
    found = decoded(data.replace(depth, b"irot" + bytes([angle]) + bytes(7)))
    assert found.shape == straight.shape
    assert np.abs(found.astype(int) - straight).mean() < 8


@pytest.mark.parametrize("order", "<>")
def test_exif_that_cannot_be_written_again_still_turns_the_picture(order: str) -> None:
    exif = unwritable_exif(6, order)
    jpeg = with_segments(encoded(SMOOTH, "JPEG"), (0xE1, b"Exif\0\0" + exif))
    plain = with_chunks(encoded(PIXELS, "PNG"), chunk(b"eXIf", exif))
    assert decoded(jpeg).shape == (60, 40, 3)
    np.testing.assert_array_equal(decoded(plain), PIXELS.swapaxes(0, 1)[:, ::-1])


def test_a_tiff_whose_metadata_are_broken_is_read() -> None:
    data = bytearray(encoded(PIXELS, "TIFF", description="x" * 99, icc_profile=b"p" * 99))
    at = data.index(struct.pack("<HH", 270, 2))
    data[at : at + 12] = struct.pack("<HHII", EXIF_IFD, 4, 1, 10**9)  # far behind its end
    np.testing.assert_array_equal(decoded(bytes(data)), PIXELS)


def test_two_megabytes_of_text_or_profile_leave_a_good_png() -> None:
    letters, plain = zlib.compress(bytes(2 << 20)), encoded(PIXELS, "PNG")
    for metadata in (
        chunk(b"zTXt", b"note\0\0" + letters),
        chunk(b"iTXt", b"note\0\1\0\0\0" + letters),
        chunk(b"iCCP", b"profile\0\0" + letters),
        chunk(b"tEXt", b"note\0text", crc=1),  # damaged, but nothing that anybody looks at
    ):
        np.testing.assert_array_equal(decoded(with_chunks(plain, metadata)), PIXELS)


SEGMENTS = [b"", b"Exif\0\0", b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"MPF\0", b"http://ns.adobe"]


@given(st.data())
def test_no_metadata_change_or_break_a_picture(data: st.DataObject) -> None:
    bodies = st.builds(bytes.__add__, st.sampled_from(SEGMENTS), st.binary(max_size=60))
    markers = st.sampled_from([*range(0xE1, 0xEE), 0xEF, 0xFE])
    segments = data.draw(st.lists(st.tuples(markers, bodies), max_size=4))
    kinds = st.sampled_from(
        [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"pHYs", b"gAMA", b"acTL"]
    )
    chunks = data.draw(st.lists(st.builds(chunk, kinds, st.binary(max_size=60)), max_size=4))
    jpeg, plain = encoded(PIXELS, "JPEG"), encoded(PIXELS, "PNG")
    for whole, bare in (
        (with_segments(jpeg, *segments), jpeg),
        (with_chunks(plain, *chunks), plain),
    ):
        parts = parts_of(whole, format_of(whole) or FORMATS[0])
        assert parts.data == bare
        assert 1 <= parts.orientation <= 8


@pytest.mark.parametrize(
    ("bits", "colours", "row", "clear"),
    [
        (1, 0, b"\x40", [1]),
        (2, 0, b"\x1b", [1]),
        (4, 0, b"\x3f", [3]),
        (8, 0, b"\x03\xff", [3]),
        (16, 0, b"\x12\x34\x12\x99", [0x1234]),
        (8, 2, bytes([1, 2, 3, 4, 5, 6]), [1, 2, 3]),
        (16, 2, bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), [0x0102, 0x0304, 0x0506]),
    ],
)
def test_the_transparent_colour_of_a_png_is_transparent_at_every_depth(
    bits: int, colours: int, row: bytes, clear: list[int]
) -> None:
    transparency = chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    width = 2
    data = png(bits, colours, row, width, transparency)
    image = open_picture(data, "picture", most_bytes=1 << 20, most_pixels=100)
    opacity = np.asarray(eight_bits(upright(image)).convert("RGBA"))[0, :, 3].tolist()
    expected = {1: [255, 0], 2: [255, 0]}.get(bits, [0, 255])
    assert opacity == expected


@pytest.mark.parametrize("bits", [12, 16])
def test_a_jpeg_of_more_than_8_bits_is_no_damaged_one(bits: int) -> None:
    data = bytearray(encoded(PIXELS, "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = bits
    with pytest.raises(InvalidInput, match=rf"^picture is a JPEG of {bits} bits .* 8 bits, or as"):
        decoded(bytes(data))


def test_values_without_a_known_white_are_refused() -> None:
    for values in (PIXELS[:, :, 0].astype(np.float32), PIXELS[:, :, 0].astype(np.int32)):
        with pytest.raises(InvalidInput, match="signed or 32-bit values"):
            decoded(encoded(values, "TIFF"))


def test_tiff_of_16_bits_of_grey_keeps_the_upper_8() -> None:
    values = np.array([[0, 0x1234, 0xFFFF]], np.uint16)
    image = open_picture(encoded(values, "TIFF"), "x", most_bytes=1 << 20, most_pixels=100)
    assert np.asarray(eight_bits(upright(image))).tolist() == [[0, 0x12, 0xFF]]


def test_a_size_in_the_header_is_refused_before_anything_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lossless = encoded(PIXELS, "WEBP", lossless=True)
    lossy = encoded(PIXELS, "WEBP", quality=50)
    size = struct.pack("<I", 16383 | 16383 << 14)
    extended = encoded(Image.fromarray(PIXELS), "WEBP", exif=b"Exif\0\0" + unwritable_exif(1))
    bombs = [
        lossless[:21] + size + lossless[25:],
        lossy[:26] + struct.pack("<HH", 16383, 16383) + lossy[30:],
        extended[:24] + b"\xff\x3f\0\xff\x3f\0" + extended[30:],
    ]
    with monkeypatch.context() as patch:  # libwebp allocates two pictures when it opens a file
        patch.setattr(images, "_opened", lambda *_: pytest.fail("opened"))
        for bomb in bombs:
            with pytest.raises(InvalidInput, match=r"has 16,38[34] x 16,38[34] pixels"):
                decoded(bomb)
    tiff = encoded(PIXELS, "TIFF")
    at = tiff.index(struct.pack("<HHIH", 256, 4, 1, 9))
    with pytest.raises(InvalidInput, match="has 16,000 x 6 pixels"):
        decoded(tiff[: at + 8] + struct.pack("<I", 16_000) + tiff[at + 12 :])
    for kind in ("AVIF", "HEIF"):
        data = encoded(np.zeros((64, 64, 3), np.uint8), kind)
        at = data.index(b"ispe") + 8
        with pytest.raises(InvalidInput, match="has 1,000 x 1,000 pixels"):
            decoded(data[:at] + struct.pack(">II", 1000, 1000) + data[at + 8 :])


@given(st.data())
def test_damaged_files_are_refused_or_read_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["WEBP", "TIFF", "AVIF", "HEIF", "PNG", "JPEG"]))
    whole = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    with contextlib.suppress(InvalidInput):
        assert decoded(bytes(whole[:cut])).size


WHOLE = {kind: encoded(SMOOTH, kind) for kind in ("WEBP", "TIFF", "AVIF", "HEIF", "PNG", "JPEG")}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_in_half_is_named_by_its_format(kind: str) -> None:
    name = next(one.name for one in FORMATS if one.pillow == kind)
    with pytest.raises(InvalidInput, match=f"^picture is a damaged {name}"):
        decoded(WHOLE[kind][: len(WHOLE[kind]) // 2])


def test_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(InvalidInput, match=r"is a HEIC; pillow-heif, .* \(extra: heic\)"):
        decoded(WHOLE["HEIF"])


def test_what_macos_puts_beside_files_is_no_file_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", "deep/b.HEIC", "deep/._b.HEIC", "__MACOSX/deep/._b.HEIC"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    expected = [tmp_path / "a.png", tmp_path / "deep" / "b.HEIC"]
    assert files_below(tmp_path) == expected
    assert list(find_files([tmp_path], SUFFIXES, "images")) == expected
    with pytest.raises(InvalidInput, match=r"what macOS keeps beside one"):
        decoded(b"\0\5\x16\7\0\2\0\0Mac OS X        ")


def test_names_of_formats_differ() -> None:
    assert all(a.name != b.name for a, b in pairwise(sorted(FORMATS)))
    assert image_formats.NAMES == "JPEG, PNG, WebP, TIFF, AVIF or HEIC"
