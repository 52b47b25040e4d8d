"""Durations and sizes are read as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.cli.units import amount, duration, seconds, size


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10s", 10.0),
        ("250ms", 0.25),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        ("60", 60.0),
        (" 3 s ", 3.0),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("-1s", -1.0),
    ],
)
def test_a_time_may_have_a_unit(text: str, value: float) -> None:
    assert seconds(text) == value


def test_a_number_without_a_unit_is_in_that_of_the_option() -> None:
    assert seconds("50", bare="ms") == 0.05
    assert size("2", bare="MiB") == 2 * 2**20
    assert seconds("50s", bare="ms") == 50.0


@pytest.mark.parametrize(
    ("text", "value"), [("64MB", 64_000_000), ("2GiB", 2**31), ("1.5kB", 1500), ("7", 7)]
)
def test_a_size_may_have_a_unit(text: str, value: int) -> None:
    assert size(text) == value == size(text.lower())


@pytest.mark.parametrize("text", ["", "s", "10 parsecs", "1:30", "nan", "inf", "1e999", "1e9999"])
def test_what_is_no_time_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="a time such as 250ms, 10s or 2m"):
        seconds(text)


@pytest.mark.parametrize("text", ["big", "1.5B", "64 MBit", "1e-10GB"])
def test_what_is_no_size_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="a size such as 64MB or 2GiB"):
        size(text)


@given(st.floats(min_value=0, max_value=1e12))
def test_a_time_that_is_shown_is_read_as_it_was(value: float) -> None:
    assert seconds(duration(value)) == value


@given(st.integers(0, 2**50))
def test_a_size_that_is_shown_is_read_as_it_was(value: int) -> None:
    assert size(amount(value)) == value
