import asyncio
from itertools import islice, takewhile

import numpy as np
import pytest

from naiad.bench.load import Load, Log, drive, poisson
from naiad.errors import Unavailable


def test_the_same_seed_gives_the_same_arrivals():
    first, again, other = (list(islice(poisson(50, seed), 3000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_arrivals_are_a_poisson_process():
    times = np.array(list(takewhile(lambda at: at < 1000, poisson(50, seed=3))))
    gaps = np.diff(times)
    assert (gaps > 0).all()
    # Five standard errors; the seed is fixed, so this passes always or never.
    assert len(times) == pytest.approx(50_000, abs=5 * 50_000**0.5)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    counts = np.histogram(times, np.arange(1001))[0]
    assert counts.var() == pytest.approx(counts.mean(), rel=0.25)


async def test_a_closed_loop_keeps_a_fixed_number_of_requests_in_flight():
    under_way, most = 0, 0

    async def send(number):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return 10, 20

    log = await driven(Load("concurrency", 5), send, lambda log: len(log.samples) >= 50)
    assert most == 5
    assert under_way == 0
    assert len(log.samples) == len(log.due)


async def test_an_open_loop_never_waits_and_measures_from_the_due_time():
    release = asyncio.Event()

    async def send(number):
        await release.wait()
        return 1, 1

    log, stop = Log(), asyncio.Event()
    driver = asyncio.create_task(drive(Load("rate", 1000), send, log, stop, seed=0))
    while len(log.due) < 20:
        await asyncio.sleep(0.001)
    assert not log.samples
    stop.set()
    release.set()
    await driver
    assert len(log.samples) == len(log.due)
    assert log.due == list(islice(poisson(1000, seed=0), len(log.due)))
    assert all(s.latency == s.done - s.due >= s.done - s.sent for s in log.samples)


async def test_an_error_is_kept_by_its_kind_and_the_load_goes_on():
    async def send(number):
        await asyncio.sleep(0)
        if number % 3 == 0:
            raise Unavailable("later")
        return 1, 2

    log = await driven(Load("concurrency", 2), send, lambda log: len(log.samples) > 12)
    assert {sample.error for sample in log.samples} == {"", "Unavailable"}
    assert all(s.received_bytes == (0 if s.error else 2) for s in log.samples)


async def test_an_error_that_is_not_an_answer_ends_the_load():
    async def send(number):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await drive(Load("concurrency", 1), send, Log(), asyncio.Event(), seed=0)


@pytest.mark.parametrize(
    ("load", "text"),
    [
        (Load("concurrency", 1), "1 client"),
        (Load("concurrency", 16), "16 clients"),
        (Load("rate", 2.5), "2.5/s"),
    ],
)
def test_a_load_says_what_it_is(load, text):
    assert str(load) == text


async def driven(load, send, enough):
    log, stop = Log(), asyncio.Event()
    driver = asyncio.create_task(drive(load, send, log, stop, seed=0))
    while not enough(log):
        await asyncio.sleep(0.001)
    stop.set()
    await driver
    return log
