"""Waits grow by a factor up to a maximum, and vary at random."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from naiad.backoff import Backoff

seconds = st.floats(0.001, 1000)


@given(first=seconds, longest=seconds, factor=st.floats(1, 10), failures=st.integers(0, 10**6))
def test_waits_grow_up_to_the_maximum(
    first: float, longest: float, factor: float, failures: int
) -> None:
    backoff = Backoff(first, longest, factor)
    assert backoff.wait(0) == 0
    assert backoff.wait(1) == min(first, longest)
    assert backoff.wait(failures) <= backoff.wait(failures + 1) <= longest


def test_each_wait_is_twice_the_one_before() -> None:
    assert [Backoff(0.25, 5.0).wait(n) for n in range(7)] == [0, 0.25, 0.5, 1, 2, 4, 5]
    assert [Backoff(0.5, 30.0, factor=4.0).wait(n) for n in (1, 2, 3)] == [0.5, 2, 8]


def test_randomness_adds_at_most_the_jitter() -> None:
    waits = {Backoff(1.0, 4.0, jitter=1.0).wait(2) for _ in range(100)}
    assert len(waits) > 1
    assert all(2 <= wait <= 3 for wait in waits)
    assert all(3 <= Backoff(1.0, 4.0, jitter=1.0).wait(9) <= 4 for _ in range(100))
