"""Retries wait longer each time, stop at their number, and never run past the deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from naiad.client.deadline import Deadline
from naiad.client.retry import BACKOFF, FEW_RETRIES, Attempts
from naiad.errors import DeadlineExceeded, InvalidInput, Unavailable


@dataclass
class Asked:
    """A client's servers, as its attempts see them."""

    servers: int = 1
    answered: bool = True

    def __len__(self) -> int:
        return self.servers


def waits(
    retries: int | None,
    failures: int,
    seconds: float = 60.0,
    servers: int = 1,
    answered: bool = True,
) -> list[float]:
    """Return the wait after each of some failures, up to the last attempt."""
    attempts = Attempts(retries, Deadline.after(seconds), Asked(servers, answered))
    found: list[float] = []
    for number in range(failures):
        error = Unavailable(f"failure {number + 1}")
        try:
            found.append(attempts.wait_after(error))
        except Unavailable as last:
            if last is not error:
                raise
            break
    return found


def test_waits_double_with_jitter_up_to_a_longest_one() -> None:
    found = waits(8, 8)
    first, jitter = BACKOFF.first, BACKOFF.jitter
    for number, wait in enumerate(found):
        base = min(first * 2**number, BACKOFF.longest - jitter)
        assert base <= wait <= base + jitter <= BACKOFF.longest
    assert len({wait % jitter for wait in found}) > 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_last_error_is_raised_after_the_retries(retries: int) -> None:
    assert len(waits(retries, 99)) == retries


def test_of_several_servers_all_are_tried_before_a_wait() -> None:
    found = waits(2, 99, servers=3)
    assert [wait > 0 for wait in found] == [False, False, True, False, False, True, False, False]
    assert found[5] > 2 * BACKOFF.first > found[2] > BACKOFF.first


def test_a_server_that_has_answered_before_is_asked_until_the_deadline() -> None:
    assert len(waits(None, 50)) == 50
    began = time.monotonic()
    attempts = Attempts(None, Deadline.after(3.0), Asked())

    def wait_to_the_end() -> None:
        while True:
            time.sleep(attempts.wait_after(Unavailable("gone")) / 10)

    with pytest.raises(Unavailable):
        wait_to_the_end()
    assert attempts.made > FEW_RETRIES + 2
    assert time.monotonic() - began <= 3.0


@pytest.mark.parametrize("servers", [1, 3])
def test_one_that_has_never_answered_is_given_up_soon(servers: int) -> None:
    found = waits(None, 99, servers=servers, answered=False)
    assert len(found) + 1 == (FEW_RETRIES + 1) * servers
    assert sum(found) < 3


def test_a_request_that_kills_its_workers_is_not_sent_on_and_on() -> None:
    said = ["busy"] * 9 + ["died, and did so with this request alone"] + ["resting"] * 99
    attempts = Attempts(None, Deadline.after(60.0), Asked())
    with pytest.raises(Unavailable, match="resting"):
        _ = [attempts.wait_after(Unavailable(words)) for words in said]
    assert attempts.made == 9 + FEW_RETRIES + 1


def test_no_retry_starts_after_the_deadline() -> None:
    assert waits(99, 99, seconds=BACKOFF.first) == []


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
