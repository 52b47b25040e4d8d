from __future__ import annotations

import asyncio
import time

import pytest
from tests.unit.bench.levels import latency, level

from naiad.bench.load import Load
from naiad.bench.measure import find_highest_rate, measure, run
from naiad.bench.stages import Counters
from naiad.bench.windows import Rule
from naiad.errors import PipelineError, Unavailable

SHORT = Rule(seconds=0.05)


async def echo(number):
    await asyncio.sleep(0.001)
    return 100, 200


class Server:
    """Counts what it is sent, in batches of two."""

    def __init__(self, others: int = 0) -> None:
        self.asked = 0
        self.others = others

    async def send(self, number):
        await asyncio.sleep(0.001)
        self.asked += 1
        return 1, 1

    async def read(self):
        if not self.asked:
            return None
        requests = self.asked + self.others
        return Counters(requests, requests / 2, {"requests": requests}, {"queue": 1e-4 * requests})


@pytest.mark.parametrize("load", [Load("concurrency", 3), Load("rate", 300)])
async def test_a_level_says_what_was_asked_and_answered(load):
    found = await measure(load, echo, SHORT)
    assert found.load == load
    assert found.requests > 0
    assert found.errors == {}
    assert found.throughput > 0
    assert found.latency is not None
    assert 0.001 <= found.latency.p50 <= found.latency.max
    assert (found.sent_bytes, found.received_bytes) == (100, 200)
    assert 3 <= found.windows <= SHORT.most
    assert found.server is None
    assert found.parts() is None


async def test_a_server_that_refuses_everything_is_given_up():
    async def send(number):
        await asyncio.sleep(0)
        raise Unavailable("full")

    found = await measure(Load("concurrency", 2), send, SHORT)
    assert found.verdict == "failing"
    assert found.windows == 1
    assert found.latency is None
    assert found.throughput == 0
    assert found.errors == {"Unavailable": found.requests}
    assert any("given up" in note for note in found.notes)


async def test_what_the_server_counts_is_of_these_requests():
    server = Server()
    found = await measure(Load("concurrency", 2), server.send, SHORT, meter=server)
    assert found.server is not None
    assert found.server.requests == server.asked == found.requests
    assert found.server.batch == {"requests": 2.0}
    assert found.server.waits["queue"] == pytest.approx(1e-4)
    assert not any("other clients" in note for note in found.notes)
    parts = found.parts()
    assert parts is not None
    assert list(parts)[:3] == ["client", "transport", "queue"]


async def test_other_clients_of_the_server_are_noticed():
    server = Server(others=1_000_000)
    found = await measure(Load("concurrency", 2), server.send, SHORT, meter=server)
    assert "the server's numbers include 1,000,000 requests of other clients" in found.notes


async def test_a_generator_that_is_its_own_bottleneck_says_so():
    async def send(number):
        began = time.process_time()
        while time.process_time() - began < 0.002:
            pass
        await asyncio.sleep(0)
        return 1, 1

    found = await measure(Load("rate", 2000), send, SHORT)
    notes = " ".join(found.notes)
    assert "the load generator used" in notes or "the generator does not get" in notes


async def test_an_error_of_the_generator_is_not_swallowed():
    async def send(number):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await measure(Load("concurrency", 1), send, SHORT)


async def test_the_highest_rate_keeps_the_bound_without_errors_and_stable():
    applied = []

    async def measured(load):
        applied.append(load)
        if load.kind == "concurrency":
            return level(load, throughput=100.0)
        return level(
            load,
            latency=latency(p99=load.value / 1000),
            errors={"Unavailable": 1} if load.value > 70 else {},
            verdict="stable" if load.value < 60 else "overloaded",
        )

    found = await find_highest_rate(measured, p99=0.05)
    assert found is not None
    assert 47.5 <= found <= 50
    assert applied[0] == Load("concurrency", 8)
    assert applied[1] == Load("rate", 80)


async def test_a_search_begins_only_where_something_is_answered():
    async def measured(load):
        return level(load, throughput=0.0, errors={"Unavailable": 3})

    with pytest.raises(PipelineError, match="no request was answered"):
        await find_highest_rate(measured, p99=0.05)


def test_the_loop_ends_what_is_left_in_it():
    left = []

    async def forever():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            left.append("cancelled")
            raise

    async def work():
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        assert not task.done()
        return "done"

    assert run(work()) == "done"
    assert left == ["cancelled"]
