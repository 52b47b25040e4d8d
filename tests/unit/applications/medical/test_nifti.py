"""Volumes are read back from files, and other files are refused cheaply."""

from __future__ import annotations

import gzip
import re
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import nullcontext

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from naiad.applications.medical import nifti
from naiad.errors import InvalidInput

AFFINE = np.array([[-0.7, 0, 0, 180], [0, 0.7, 0, -200], [0, 0, 1.5, 30], [0, 0, 0, 1.0]])
DTYPES = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DTYPES += ["float32", "float64"]
SCAN = np.arange(-60, 60, dtype=np.int16).reshape(4, 5, 6)


def file_of(voxels: np.ndarray, kind: type = nibabel.Nifti1Image, **header: object) -> bytes:
    """Make a file with these header fields, right or wrong."""
    image = kind(voxels, AFFINE)
    data = bytearray(image.to_bytes())
    changed = image.header.copy()
    changed["vox_offset"] = image.header.single_vox_offset
    for field, value in header.items():
        changed[field] = value
    data[: changed.sizeof_hdr] = changed.binaryblock
    return bytes(data)


@pytest.mark.parametrize("compress", [True, False])
@given(
    voxels=st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=3, max_dims=3, max_side=6),
            elements=st.floats(-(2.0**99), 2.0**99, width=32)
            if dtype.startswith("float")
            else None,
        )
    )
)
def test_what_is_written_is_read(voxels: np.ndarray, compress: bool) -> None:
    volume = nifti.read(nifti.write(voxels, AFFINE, compress=compress))
    assert volume.stored.dtype == voxels.dtype
    np.testing.assert_array_equal(volume.stored, voxels)
    np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-6)
    np.testing.assert_allclose(volume.spacing, (0.7, 0.7, 1.5), rtol=1e-6)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_values_are_those_that_nibabel_reads(kind: type, order: str) -> None:
    image = kind(SCAN, AFFINE, header=kind.header_class(endianness=order))
    image.header.set_slope_inter(0.5, -3)
    data = image.to_bytes()
    for sent in (data, gzip.compress(data)):
        volume = nifti.read(sent)
        expected = kind.from_bytes(data).get_fdata(dtype=np.float32)
        np.testing.assert_array_equal(volume.voxels(), expected)
        np.testing.assert_allclose(volume.affine, AFFINE, rtol=1e-6)


def test_a_fourth_axis_of_length_1_is_left_out() -> None:
    assert nifti.read(file_of(SCAN[..., None])).shape == SCAN.shape


def test_extensions_before_the_voxels_are_passed_over() -> None:
    image = nibabel.Nifti1Image(SCAN, AFFINE)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    for data in (image.to_bytes(), gzip.compress(image.to_bytes())):
        np.testing.assert_array_equal(nifti.read(data).stored, SCAN)


def test_a_gzip_file_of_several_members_is_one_file() -> None:
    data = file_of(SCAN)
    parts = gzip.compress(data[:400]) + gzip.compress(data[400:])
    np.testing.assert_array_equal(nifti.read(parts).stored, SCAN)


def test_nul_bytes_at_the_end_may_be_missing_as_numpys_s_dtype_drops_them() -> None:
    data = nifti.write(SCAN, AFFINE)
    (sent,) = np.array([data], dtype="S")
    assert len(sent) < len(data)
    np.testing.assert_array_equal(nifti.read(sent).stored, SCAN)


def test_an_uncompressed_file_is_not_copied() -> None:
    data = file_of(SCAN)
    assert np.shares_memory(nifti.read(data).stored, np.frombuffer(data, np.uint8))


WHOLE = gzip.compress(file_of(SCAN), mtime=0)

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "scan is empty; it must be a NIfTI file (.nii or .nii.gz)"),
    "truncated gzip": (
        lambda: WHOLE[:-40],
        f"scan is a truncated gzip file ({len(WHOLE) - 40} bytes); send the whole file",
    ),
    "damaged gzip": (
        lambda: WHOLE[:-6] + bytes([WHOLE[-6] ^ 1]) + WHOLE[-5:],
        "scan is a damaged gzip file: Incorrect checksum found",
    ),
    "truncated": (
        lambda: file_of(SCAN)[:-1],
        "scan is truncated: it has 239 of the 240 bytes that 4 x 5 x 6 voxels of int16 are; send "
        "the whole file (numpy's S dtype drops NUL bytes at the end: use object)",
    ),
    "truncated, then compressed": (
        lambda: gzip.compress(file_of(SCAN)[:400]),
        "scan is truncated: it has 48 of the 240 bytes that 4 x 5 x 6 voxels of int16 are; send "
        "the whole file*",
    ),
    "a header alone, cut off": (
        lambda: file_of(SCAN)[:300],
        "scan is no NIfTI file (it begins with b'\\\\\\x01\\x00\\x00\\x00\\x00\\x00\\x00'); it "
        "must be a NIfTI file (.nii or .nii.gz)",
    ),
    "text": (
        lambda: b"hello",
        "scan is no NIfTI file (it begins with b'hello'); it must be a NIfTI file (.nii or "
        ".nii.gz)",
    ),
    "DICOM": (
        lambda: bytes(128) + b"DICM" + bytes(600),
        "scan is a DICOM file; it must be a NIfTI file (.nii or .nii.gz)",
    ),
    "JPEG": (
        lambda: b"\xff\xd8\xff" + bytes(600),
        "scan is a JPEG; it must be a NIfTI file (.nii or .nii.gz)",
    ),
    "2D": (lambda: file_of(SCAN[0]), "scan is 2D [5, 6]; it must be one 3D volume"),
    "4D": (
        lambda: file_of(np.stack([SCAN, SCAN], -1)),
        "scan is 4D [4, 5, 6, 2]; it must be one 3D volume; send its volumes one by one",
    ),
    "no voxels": (
        lambda: file_of(SCAN, dim=[3, 4, 0, 6, 1, 1, 1, 1]),
        "scan has shape [4, 0, 6]; every axis must have a voxel",
    ),
    "a negative axis": (
        lambda: file_of(SCAN, dim=[3, 4, -5, 6, 1, 1, 1, 1]),
        "scan has shape [4, -5, 6]; every axis must have a voxel",
    ),
    "terabytes": (
        lambda: file_of(SCAN, dim=[3, 32767, 32767, 2000, 1, 1, 1, 1]),
        "scan claims 32,767 x 32,767 x 2,000 voxels of int16, 4,294,705,156,000 bytes; a volume "
        "may have 1,073,741,824: crop or resample it",
    ),
    "terabytes, compressed": (
        lambda: gzip.compress(
            file_of(SCAN, nibabel.Nifti2Image, dim=[3, 1 << 40, 1 << 40, 1 << 40, 1, 1, 1, 1])
        ),
        "scan claims 1,099,511,627,776 x 1,099,511,627,776 x 1,099,511,627,776 voxels of int16*",
    ),
    "far voxels": (
        lambda: file_of(SCAN, vox_offset=1e12),
        "scan has its voxels at byte 999,999,995,904; they must begin between bytes 352 and "
        "16,777,568",
    ),
    "voxels in the header": (
        lambda: file_of(SCAN, vox_offset=-8),
        "scan has its voxels at byte -8; they must begin between bytes 352 and 16,777,568",
    ),
    "gzip in gzip in gzip": (
        lambda: gzip.compress(gzip.compress(WHOLE)),
        "scan is a gzip file in gzip files; it must be a NIfTI file (.nii or .nii.gz)",
    ),
    "gzip in gzip, truncated": (
        lambda: gzip.compress(WHOLE[:-40]),
        f"scan is a truncated gzip file ({len(WHOLE) - 40} bytes); send the whole file",
    ),
    "a pair": (
        lambda: file_of(SCAN, magic=b"ni1"),
        "scan is the header of a pair of files (.hdr and .img); send one file (.nii)",
    ),
    "colours": (
        lambda: file_of(np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])),
        "scan has voxels of RGB; they must be real numbers of 8 to 64 bits",
    ),
    "complex numbers": (
        lambda: file_of(SCAN.astype(np.complex64)),
        "scan has voxels of complex64; they must be real numbers of 8 to 64 bits",
    ),
    "an unknown dtype": (
        lambda: file_of(SCAN, datatype=9999),
        "scan has an invalid header: data code 9999 not recognized*",
    ),
    "an infinite affine": (
        lambda: file_of(SCAN, sform_code=0, qform_code=1, qoffset_x=np.inf),
        "scan has an affine with numbers that are not finite",
    ),
    "a slope without an intercept": (
        lambda: file_of(SCAN, scl_slope=2),
        "scan has an invalid header: Valid slope but invalid intercept nan",
    ),
    "a huge slope": (
        lambda: file_of(SCAN, scl_slope=1e38, scl_inter=0),
        "scan has values up to -3.2768e+42 (slope 1e+38); they must fit float32",
    ),
    "NaN": (
        lambda: file_of(np.where(SCAN == 7, np.nan, SCAN)),
        "scan: voxel [2, 1, 1] is nan; it must be finite",
    ),
    "infinity": (
        lambda: file_of(np.where(SCAN == 7, -np.inf, SCAN).astype(np.float32)),
        "scan: voxel [2, 1, 1] is -inf; it must be finite",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_not_a_volume_is_refused_with_the_reason(case: str) -> None:
    make, message = REFUSED[case]
    pattern = re.escape(message).replace(r"\*", ".*")
    with pytest.raises(InvalidInput, match=f"^{pattern}$"):
        nifti.read(make(), name="scan")


def bomb(start: bytes, size: int) -> bytes:
    """Make a gzip file of ``start`` and many NUL bytes, at a thousandth of their size."""
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    return (
        b"".join([packer.compress(start), *(packer.compress(zeros) for _ in range(size >> 20))])
        + packer.flush()
    )


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (file_of(SCAN), ""),  # what follows on the voxels is ignored
        (file_of(SCAN, dim=[3, 1024, 1024, 1024, 1, 1, 1, 1]), "a volume may have 1,073,741,824"),
        (b"", "is no NIfTI file"),
    ],
)
def test_a_decompression_bomb_costs_no_memory(start: bytes, message: str) -> None:
    data = bomb(start, 200 << 20)
    tracemalloc.start()
    with pytest.raises(InvalidInput, match=message) if message else nullcontext():
        nifti.read(data)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 << 20


def test_the_caller_says_how_large_a_volume_may_be() -> None:
    nifti.read(WHOLE, max_bytes=240)
    with pytest.raises(InvalidInput, match="a volume may have 239"):
        nifti.read(WHOLE, max_bytes=239)


@pytest.mark.parametrize("voxels", [SCAN[0], SCAN.astype(complex), SCAN.astype(str)])
def test_what_nifti_cannot_hold_is_not_written(voxels: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="it must be int8, uint8, int16"):
        nifti.write(voxels, AFFINE)


def test_other_numbers_are_written_as_the_next_larger_kind() -> None:
    for voxels, kind in ((SCAN > 0, np.uint8), (SCAN.astype(np.float16), np.float32)):
        found = nifti.read(nifti.write(voxels, AFFINE)).stored
        assert found.dtype == kind
        np.testing.assert_array_equal(found, voxels)
    big_endian = nifti.read(nifti.write(SCAN.astype(">i2"), AFFINE))
    np.testing.assert_array_equal(big_endian.stored, SCAN)


def test_axes_too_long_for_nifti_1_are_written_as_nifti_2() -> None:
    voxels = np.arange(40_000, dtype=np.int32).reshape(40_000, 1, 1)
    np.testing.assert_array_equal(nifti.read(nifti.write(voxels, AFFINE)).stored, voxels)


@pytest.mark.parametrize("offset", [0, 100, 352])
def test_an_offset_within_the_header_is_that_of_the_first_voxel(offset: int) -> None:
    for data in (file_of(SCAN, vox_offset=offset), gzip.compress(file_of(SCAN, vox_offset=offset))):
        np.testing.assert_array_equal(nifti.read(data).stored, SCAN)


def test_a_file_without_an_extension_flag_is_read() -> None:
    data = file_of(SCAN, vox_offset=348)
    np.testing.assert_array_equal(nifti.read(data[:348] + data[352:]).stored, SCAN)


@pytest.mark.parametrize(
    "sent",
    [
        file_of(SCAN) + b"more",
        gzip.compress(file_of(SCAN) + bytes(100_000)),
        WHOLE + b"GARBAGE" * 30,
        WHOLE + bytes(512),
        WHOLE + b"\0" + gzip.compress(b"more"),
        gzip.compress(WHOLE),
        gzip.compress(WHOLE + b"more") + b"more",
    ],
)
def test_what_follows_on_the_voxels_is_ignored_compressed_or_not(sent: bytes) -> None:
    np.testing.assert_array_equal(nifti.read(sent).stored, SCAN)


@pytest.mark.parametrize("axes", [(2,), (1, 2), (1, 1, 2), (2, 1)])
def test_the_volumes_of_a_file_are_read_one_by_one(axes: tuple[int, ...]) -> None:
    both = np.stack([SCAN, -SCAN], -1).reshape(*SCAN.shape, *axes)
    data = file_of(both)
    assert nifti.count_volumes(gzip.compress(data)[:300]) == 2
    for sent in (data, gzip.compress(data)):
        first, second = nifti.read_volumes(sent)
        np.testing.assert_array_equal(first.stored, SCAN)
        np.testing.assert_array_equal(second.stored, -SCAN)
    with pytest.raises(InvalidInput, match=r"is 5D .*; it must be one 3D volume; send its volumes"):
        nifti.read_volumes(file_of(np.zeros((2, 2, 2, 2, 2), np.int16)))
