"""Retries wait longer each time, stop at their number, and never run past the deadline."""

from __future__ import annotations

import time

import pytest
from tenacity import Retrying

from naiad.client.deadline import Deadline
from naiad.client.retry import FIRST_WAIT, LONGEST_WAIT, policy
from naiad.errors import DeadlineExceeded, InvalidInput, Unavailable


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: type[Exception] = Unavailable) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(f"failure {self.calls}")
        return "answer"


def retrying(retries: int, waits: list[float], seconds: float = 60.0) -> Retrying:
    return Retrying(**policy(retries, Deadline.after(seconds)), sleep=waits.append)


def test_an_answer_is_not_asked_for_again() -> None:
    waits: list[float] = []
    assert retrying(3, waits)(Flaky(0)) == "answer"
    assert waits == []


def test_waits_double_with_jitter_up_to_a_longest_one() -> None:
    waits: list[float] = []
    assert retrying(8, waits)(Flaky(8)) == "answer"
    for number, wait in enumerate(waits):
        base = min(FIRST_WAIT * 2**number, LONGEST_WAIT)
        assert base <= wait <= base + FIRST_WAIT
    assert len({wait % FIRST_WAIT for wait in waits}) > 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_last_error_is_raised_after_the_retries(retries: int) -> None:
    flaky = Flaky(99)
    with pytest.raises(Unavailable, match=f"failure {retries + 1}"):
        retrying(retries, [])(flaky)
    assert flaky.calls == retries + 1


def test_of_several_servers_all_are_tried_before_a_wait() -> None:
    waits: list[float] = []
    flaky = Flaky(99)
    retrying_three = Retrying(**policy(2, Deadline.after(60), servers=3), sleep=waits.append)
    with pytest.raises(Unavailable, match="failure 9"):
        retrying_three(flaky)
    assert [wait > 0 for wait in waits] == [False, False, True, False, False, True, False, False]
    assert waits[5] > 2 * FIRST_WAIT > waits[2] > FIRST_WAIT


def test_only_unavailable_is_retried() -> None:
    flaky = Flaky(1, InvalidInput)
    with pytest.raises(InvalidInput):
        retrying(3, [])(flaky)
    assert flaky.calls == 1


def test_no_retry_starts_after_the_deadline() -> None:
    flaky = Flaky(99)
    waits: list[float] = []
    with pytest.raises(Unavailable, match="failure 1"):
        retrying(99, waits, seconds=FIRST_WAIT)(flaky)
    assert waits == []


def test_a_deadline_counts_down_and_passes() -> None:
    deadline = Deadline.after(0.05)
    assert 0 < deadline.remaining("server") <= 0.05
    time.sleep(0.06)
    with pytest.raises(DeadlineExceeded, match=r"no answer from the server within 0\.05 s"):
        deadline.remaining("the server")


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_timeout_must_be_a_positive_number(seconds: float) -> None:
    with pytest.raises(InvalidInput, match="positive number of seconds"):
        Deadline.after(seconds)
