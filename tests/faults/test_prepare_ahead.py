"""Requests are prepared during ``forward``; whatever happens, each is answered once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.triton import FREE, Belongings

import naiad
from naiad.errors import DeadlineExceeded
from naiad.triton.repository import export
from naiad.triton.server import Server

PIPELINE = f"{Path(__file__).parents[1] / 'unit' / 'runtime' / 'degree.py'}:Ahead"
PREPARE_FAILS, FORWARD_FAILS, KILL, HANG, KILL_EARLY, HANG_EARLY, STARVED = range(1, 8)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("ahead") / "models"
    export(PIPELINE, repository, instances=1, watchdog=2.0)
    with Server(repository, **FREE) as server:
        yield server
        belongings = Belongings.of(server)
    assert belongings.left(within=5) == []


def ask(server: Server, code: float = 100.0, **options: Any) -> Any:
    """Return the answer, whose ``total`` must be ``code``, or the error."""
    x = np.zeros((3, 2), np.float32)
    x[0, 0] = code
    with naiad.Client(server.grpc_url, retries=0) as client:
        try:
            found = client.infer(
                "ahead", {"x": x, "edge_index": np.zeros((2, 1), np.int64)}, **options
            )
        except naiad.NaiadError as error:
            return error
    assert found["total"][0] == np.float32(code)
    return found


def restarts(server: Server) -> float:
    return server.metric("naiad_worker_restarts_total", model="ahead")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def behind(server: Server, pool: ThreadPoolExecutor, first: float, *codes: float) -> list[Any]:
    """Send one request and, while ``forward`` runs it, the others."""
    sent: list[Future[Any]] = [pool.submit(ask, server, first, timeout=60)]
    time.sleep(0.15)
    sent += [pool.submit(ask, server, code, timeout=60) for code in codes]
    return [future.result() for future in sent]


def is_right(answer: Any) -> bool:
    return isinstance(answer, dict)


def within(inner: np.ndarray, outer: np.ndarray) -> float:
    """Return the seconds that two intervals share."""
    return max(0.0, float(min(inner[1], outer[1]) - max(inner[0], outer[0])))


def test_requests_are_prepared_while_forward_runs_others(server: Server, pool: ThreadPoolExecutor):
    def load(number: int) -> list[Any]:
        return [ask(server, 100.0 + number, timeout=30) for _ in range(6)]

    start = time.monotonic()
    answers = [answer for found in pool.map(load, range(8)) for answer in found]
    wall = time.monotonic() - start
    assert all(map(is_right, answers))
    prepared = [answer["prepared"][0] for answer in answers]
    runs = np.unique([answer["ran"][0] for answer in answers], axis=0)
    preparing = sum(end - begin for begin, end in prepared)
    running = sum(end - begin for begin, end in runs)
    shared = sum(within(one, run) for one in prepared for run in runs)
    assert shared > preparing / 4  # in sequence, none would be
    assert wall < preparing + running


def test_requests_that_wait_for_a_forward_become_one_batch(
    server: Server, pool: ThreadPoolExecutor
):
    first, *others = behind(server, pool, 0.5, *range(100, 108))
    assert first["company"][0] == 1
    assert [answer["company"][0] for answer in others] == [8] * 8
    begin, end = first["ran"][0]
    for answer in others:
        assert begin < answer["prepared"][0][0] < answer["prepared"][0][1] < end


def test_a_request_waits_in_the_queue_stage_while_it_is_prepared(
    server: Server, pool: ThreadPoolExecutor
):
    def spent() -> dict[str, float]:
        name = "naiad_stage_seconds_sum"
        stages = ("queue", "prepare", "forward")
        return {stage: server.metric(name, model="ahead", stage=stage) for stage in stages}

    before = spent()
    start = time.monotonic()
    behind(server, pool, 0.6, 100.0)
    wall = time.monotonic() - start
    deadline = time.monotonic() + 10  # answers are counted after they are sent
    took: dict[str, float] = {}
    # On a busy machine the first request alone may take that long.
    while took.get("forward", 0) < 0.64 or took["queue"] <= 0.05 or took["prepare"] < 0.02:
        assert time.monotonic() < deadline, took
        took = {stage: seconds - before[stage] for stage, seconds in spent().items()}
    assert 0.05 < took["queue"] < 0.6
    assert 0.02 <= took["prepare"] < 0.3
    assert took["forward"] < wall


@pytest.mark.parametrize("ending", [KILL, KILL_EARLY])
def test_a_worker_that_dies_with_two_batches_loses_neither(
    server: Server, pool: ThreadPoolExecutor, ending: int
):
    # The first is still in forward when the others are prepared.
    first, guilty, *others = behind(server, pool, 0.5, ending, *range(100, 104))
    assert isinstance(guilty, naiad.Unavailable)
    assert "ended by signal 9, and did so with this request alone" in str(guilty)
    assert all(map(is_right, (first, *others)))


@pytest.mark.parametrize("ending", [HANG, HANG_EARLY])
def test_a_hook_that_hangs_is_ended_and_its_neighbours_are_answered(
    server: Server, pool: ThreadPoolExecutor, ending: int
):
    first, guilty, *others = behind(server, pool, 0.5, ending, 100.0, 101.0)
    assert isinstance(guilty, naiad.Unavailable)
    assert "did not answer within 2 s and was killed, and did so with this" in str(guilty)
    assert all(map(is_right, (first, *others)))


def test_the_watchdog_does_not_count_the_wait_for_the_previous_batch(
    server: Server, pool: ThreadPoolExecutor
):
    before = restarts(server)
    # The last is prepared when the first runs, and waits for more than the watchdog's 2 s.
    sent = [pool.submit(ask, server, 0.9, timeout=60)]
    for _ in range(3):
        time.sleep(0.3)
        sent.append(pool.submit(ask, server, 0.9, timeout=60))
    assert all(is_right(future.result()) for future in sent)
    assert restarts(server) == before


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (PREPARE_FAILS, "Ahead.prepare() raised KeyError: 'prepare'"),
        (FORWARD_FAILS, "Ahead.forward() raised ValueError: forward"),
    ],
)
def test_a_hook_that_raises_fails_one_request_of_two_batches(
    server: Server, pool: ThreadPoolExecutor, code: int, message: str
):
    first, bad, *others = behind(server, pool, 0.3, code, 100.0, 101.0, 102.0)
    assert isinstance(bad, naiad.PipelineError)
    assert message in str(bad)
    assert all(map(is_right, (first, *others)))


def test_out_of_memory_prepared_requests_are_run_in_smaller_batches(
    server: Server, pool: ThreadPoolExecutor
):
    first, starved, *others = behind(server, pool, 0.3, STARVED, *range(100, 106))
    assert starved["company"][0] == 1
    assert all(map(is_right, (first, *others)))


def test_a_prepared_request_past_its_deadline_is_refused_at_once_and_not_run(
    server: Server, pool: ThreadPoolExecutor
):
    before = restarts(server)
    first = pool.submit(ask, server, 0.9, timeout=60)
    time.sleep(0.15)
    start = time.monotonic()
    # It would end the worker, were it run.
    late = ask(server, KILL, timeout=0.2)
    assert isinstance(late, (DeadlineExceeded, naiad.Unavailable))
    assert time.monotonic() - start < 0.6
    assert is_right(first.result())
    assert is_right(ask(server))
    assert restarts(server) == before
