"""Retries wait longer each time, stop at their number, and never run past the deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from tenacity import Retrying

from naiad.client.deadline import Deadline
from naiad.client.retry import FEW_RETRIES, FIRST_WAIT, LONGEST_WAIT, policy
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


@dataclass
class Asked:
    """The servers of a client, as a policy sees them."""

    servers: int = 1
    answered: bool = True

    def __len__(self) -> int:
        return self.servers


def retrying(
    retries: int | None, waits: list[float], seconds: float = 60.0, asked: Asked | None = None
) -> Retrying:
    rules = policy(retries, Deadline.after(seconds), asked or Asked())
    return Retrying(**rules, sleep=waits.append)


def test_an_answer_is_not_asked_for_again() -> None:
    waits: list[float] = []
    assert retrying(3, waits)(Flaky(0)) == "answer"
    assert waits == []


def test_waits_double_with_jitter_up_to_a_longest_one() -> None:
    waits: list[float] = []
    assert retrying(8, waits)(Flaky(8)) == "answer"
    for number, wait in enumerate(waits):
        base = min(FIRST_WAIT * 2**number, LONGEST_WAIT - FIRST_WAIT)
        assert base <= wait <= base + FIRST_WAIT <= LONGEST_WAIT
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
    with pytest.raises(Unavailable, match="failure 9"):
        retrying(2, waits, asked=Asked(3))(flaky)
    assert [wait > 0 for wait in waits] == [False, False, True, False, False, True, False, False]
    assert waits[5] > 2 * FIRST_WAIT > waits[2] > FIRST_WAIT


def test_a_server_that_has_answered_before_is_asked_until_the_deadline() -> None:
    began = time.monotonic()
    deadline = Deadline.after(3.0)
    with pytest.raises(Unavailable):
        Retrying(**policy(None, deadline, Asked()), sleep=lambda wait: time.sleep(wait / 10))(
            flaky := Flaky(10**6)
        )
    assert flaky.calls > FEW_RETRIES + 2
    assert time.monotonic() - began <= 3.0
    assert retrying(None, [])(Flaky(50)) == "answer"


@pytest.mark.parametrize("servers", [1, 3])
def test_one_that_has_never_answered_is_given_up_soon(servers: int) -> None:
    flaky = Flaky(99)
    waits: list[float] = []
    with pytest.raises(Unavailable):
        retrying(None, waits, asked=Asked(servers, answered=False))(flaky)
    assert flaky.calls == (FEW_RETRIES + 1) * servers
    assert sum(waits) < 3


def test_a_request_that_kills_its_workers_is_not_sent_on_and_on() -> None:
    said = iter(["busy"] * 9 + ["died, and did so with this request alone"] + ["resting"] * 99)
    tries = 0

    def request() -> None:
        nonlocal tries
        tries += 1
        raise Unavailable(next(said))

    with pytest.raises(Unavailable, match="resting"):
        retrying(None, [])(request)
    assert tries == 9 + FEW_RETRIES + 1


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
