"""What a user has becomes what a model takes, or is refused; nothing is lost in silence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from naiad.client.dtypes import numpy_dtype, to_wire
from naiad.errors import InvalidInput

INTEGERS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"]
FLOATS = ["FP16", "FP32", "FP64"]


@pytest.mark.parametrize("datatype", ["BOOL", *INTEGERS, *FLOATS, "BF16"])
def test_the_right_dtype_passes_untouched(datatype: str) -> None:
    array = np.ones((2, 3), dtype=numpy_dtype(datatype))
    assert to_wire("x", array, datatype) is array


@pytest.mark.parametrize(
    ("value", "datatype", "expected"),
    [
        ([1, 2, 3], "INT32", np.array([1, 2, 3], np.int32)),
        ([1, 2, 3], "FP32", np.array([1, 2, 3], np.float32)),
        ([1.5, 2], "FP32", np.array([1.5, 2], np.float32)),
        ([[0, 1], [1, 0]], "INT64", np.array([[0, 1], [1, 0]])),
        ([True, False], "UINT8", np.array([1, 0], np.uint8)),
        ([0, 1], "BOOL", np.array([False, True])),
        ([], "INT32", np.array([], np.int32)),
        (np.array([2**31 - 1]), "INT32", np.array([2**31 - 1], np.int32)),
        (np.array([1.5], ">f4"), "FP32", np.array([1.5], np.float32)),
        (np.array([1e-300]), "FP32", np.array([0], np.float32)),
        (np.array([np.nan, np.inf]), "FP32", np.array([np.nan, np.inf], np.float32)),
        (np.array([2**24, 2**25 + 4]), "FP32", np.array([2**24, 2**25 + 4], np.float32)),
        (7, "INT32", np.array(7, np.int32)),
    ],
)
def test_what_loses_nothing_is_converted(value: Any, datatype: str, expected: NDArray[Any]) -> None:
    converted = to_wire("x", value, datatype)
    assert converted.dtype == expected.dtype
    np.testing.assert_array_equal(converted, expected)


@pytest.mark.parametrize(
    ("value", "datatype", "message"),
    [
        ([1.0], "INT32", r"x is float64; it must be INT32 \(numpy int32\); round it yourself"),
        ([0, 2**31], "INT32", r"x\[1\] is 2147483648; INT32 holds -2147483648 to 2147483647"),
        ([[0, 1], [-1, 0]], "UINT8", r"x\[1, 0\] is -1; UINT8 holds 0 to 255"),
        (np.array([2**64 - 1], np.uint64), "INT64", r"x\[0\] is 18446744073709551615"),
        ([2], "BOOL", r"x\[0\] is 2; BOOL holds 0 to 1"),
        ([1.0], "BOOL", r"x is float64; it must be BOOL \(numpy bool\)"),
        ([0, 2**24 + 1], "FP32", r"x\[1\] is 16777217, which FP32 cannot hold exactly"),
        ([2**17], "FP16", r"x\[0\] is 131072, which FP16 cannot hold exactly"),
        ([0.0, 1e39], "FP32", r"x\[1\] is 1e\+39, which is too large for FP32"),
        (["1"], "FP32", r"x is text; it must be FP32 \(numpy float32\)"),
        ([b"1"], "INT32", "x is bytes; it must be INT32"),
        ([None], "FP32", "x is object; it must be FP32"),
        ([1j], "FP32", "x is complex128; it must be FP32"),
        ([[1, 2], [3]], "INT32", "x cannot become a numpy array"),
        ([1], "TYPE_9", "datatype TYPE_9 is unknown to this client"),
    ],
)
def test_what_would_lose_something_is_refused(value: Any, datatype: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        to_wire("x", value, datatype)


@given(
    array=hnp.arrays(
        st.sampled_from([np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64, np.bool_]),
        hnp.array_shapes(max_dims=2, max_side=3, min_side=0),
    ),
    datatype=st.sampled_from([*INTEGERS, "BOOL", *FLOATS]),
)
def test_integers_arrive_with_their_values_or_not_at_all(
    array: NDArray[Any], datatype: str
) -> None:
    target = numpy_dtype(datatype)
    try:
        converted = to_wire("x", array, datatype)
    except InvalidInput:
        kept = [_round_trips(int(value), target) for value in array.flat]
        assert not all(kept)
    else:
        assert converted.dtype == target
        assert [int(value) for value in converted.flat] == [int(value) for value in array.flat]


def _round_trips(value: int, target: np.dtype[Any]) -> bool:
    if target.kind == "f":
        with np.errstate(over="ignore"):
            held = float(np.array(value, dtype=object).astype(np.float64).astype(target))
        return np.isfinite(held) and int(held) == value
    if target.kind == "b":
        return value in (0, 1)
    return np.iinfo(target).min <= value <= np.iinfo(target).max


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", "é"], [b"a", b"\xc3\xa9"]),
        ([b"a\0\0", b""], [b"a\0\0", b""]),
        (np.array(["a", "bc"]), [b"a", b"bc"]),
        (np.array([b"a\0", "b"], dtype=object), [b"a\0", b"b"]),
        ([np.bytes_(b"a"), np.str_("b")], [b"a", b"b"]),
        ([], []),
    ],
)
def test_text_and_bytes_arrive_byte_for_byte(value: Any, expected: list[bytes]) -> None:
    converted = to_wire("t", value, "BYTES")
    assert converted.dtype == np.object_
    assert converted.tolist() == expected
    assert all(type(element) is bytes for element in converted)


def test_the_shape_of_text_is_kept() -> None:
    assert to_wire("t", [["a"], ["b"]], "BYTES").shape == (2, 1)
    assert to_wire("t", "a", "BYTES").shape == ()


def test_numpys_bytes_dtype_is_refused_because_it_drops_nuls() -> None:
    with pytest.raises(InvalidInput, match="trailing NUL bytes; create it with dtype=object"):
        to_wire("t", np.array([b"a\0"]), "BYTES")


def test_an_element_that_is_no_text_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"t\[0, 1\] is int; it must be str or bytes"):
        to_wire("t", [["a", 1]], "BYTES")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (np.ma.array([1.0, 2.0, 3.0], mask=[0, 0, 1]), r"x\[2\]"),
        (np.ma.array([[1, 2], [3, 4]], mask=[[0, 1], [1, 0]]), r"x\[0, 1\]"),
        (np.ma.masked, "x"),
        ([1.0, np.ma.masked], r"x\[1\]"),
        ([np.ma.array([1.0, 2.0]), np.ma.array([1.0, 2.0], mask=[1, 0])], r"x\[1, 0\]"),
    ],
)
@pytest.mark.parametrize("datatype", ["FP32", "INT64"])
def test_a_masked_value_is_refused_with_its_position(value, place, datatype):
    with pytest.raises(InvalidInput, match=f"^{place} is masked"):
        to_wire("x", value, datatype)


def test_masked_text_is_refused_too():
    with pytest.raises(InvalidInput, match=r"^x\[0\] is masked"):
        to_wire("x", np.ma.array(["a", "b"], object, mask=[1, 0]), "BYTES")


def test_a_masked_array_without_masked_values_is_an_array():
    for mask in (False, [False, False]):
        sent = to_wire("x", np.ma.array([1, 2], mask=mask), "FP32")
        assert type(sent) is np.ndarray
        assert sent.tolist() == [1.0, 2.0]


def test_text_that_is_no_unicode_is_named_with_its_position() -> None:
    with pytest.raises(InvalidInput, match=r"t\[1, 0\]: character 3 is the surrogate U\+DCE9"):
        to_wire("t", [["a"], ["caf\udce9"]], "BYTES")
    with pytest.raises(InvalidInput, match="t: character 0 is the surrogate"):
        to_wire("t", np.array("\ud800"), "BYTES")
