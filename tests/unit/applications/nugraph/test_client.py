"""The client turns events into typed results, in order (the server answers by a rule)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from tests.unit.applications.nugraph.served import LABELS, NOTICE, make_event, nugraph3_server

import naiad
from naiad.applications.nugraph.events import Event
from naiad.applications.nugraph.results import NuGraph3Result
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.errors import InvalidInput, ModelNotFound


def some_events(count: int) -> Iterator[Event]:
    return (make_event([n % 3] * (n % 5), event=n) for n in range(count))


def test_an_event_becomes_a_result() -> None:
    event = make_event([2, 0, 1, 1], event=99)
    with nugraph3_server() as (url, _), naiad.Client(url) as client:
        result = client.nugraph3.infer(event)
    assert isinstance(result, NuGraph3Result)
    assert (result.run, result.subrun, result.event) == (7, 2, 99)
    assert result.labels == LABELS
    assert result.notice == NOTICE
    np.testing.assert_array_equal(result.vertex, [4, 2, 3])
    assert list(result.hits["semantic"]) == ["pion", "muon", "kaon", "hadron"]


def test_the_request_has_the_event_and_strictness() -> None:
    with nugraph3_server() as (url, served), naiad.Client(url) as client:
        client.nugraph3.infer(make_event([0], event=5), strict=True)
        client.nugraph3.infer(make_event([0], event=6))
    assert [request.id for request in served.requests] == ["7/2/5", "7/2/6"]
    assert [r.parameters["strict"].bool_param for r in served.requests] == [True, False]


def test_labels_are_requested_once() -> None:
    with nugraph3_server() as (url, _), naiad.Client(url) as client:
        nugraph3 = client.nugraph3
        assert nugraph3.card is nugraph3.card
        assert nugraph3.card == LABELS


@pytest.mark.parametrize("concurrency", [1, 4])
def test_many_events_come_back_in_order(concurrency: int) -> None:
    with nugraph3_server() as (url, _), naiad.Client(url) as client:
        results = list(client.nugraph3.infer_many(some_events(25), concurrency=concurrency))
    assert [result.event for result in results] == list(range(25))
    assert [len(result.hits) for result in results] == [n % 5 for n in range(25)]


def test_events_are_consumed_as_needed() -> None:
    taken = 0

    def endless() -> Iterator[Event]:
        nonlocal taken
        while True:
            taken += 1
            yield make_event([0], event=taken)

    with nugraph3_server() as (url, _), naiad.Client(url) as client:
        results = client.nugraph3.infer_many(endless(), concurrency=2)
        assert [next(results).event for _ in range(3)] == [1, 2, 3]
        results.close()
    assert taken < 20


def test_a_refused_event_raises_the_servers_message() -> None:
    with (
        nugraph3_server(refuse=frozenset({1})) as (url, _),
        naiad.Client(url) as client,
        pytest.raises(InvalidInput, match="event 1 is not to my taste"),
    ):
        list(client.nugraph3.infer_many(some_events(5)))


def test_a_refused_event_can_be_returned_as_an_error_and_the_others_go_on() -> None:
    with nugraph3_server(refuse=frozenset({1, 3})) as (url, _), naiad.Client(url) as client:
        answers = list(client.nugraph3.try_many(some_events(6)))
    assert [isinstance(answer, InvalidInput) for answer in answers] == [
        event in (1, 3) for event in range(6)
    ]
    assert [a.event for a in answers if isinstance(a, NuGraph3Result)] == [0, 2, 4, 5]


def test_a_model_of_another_name_is_asked_by_its_name() -> None:
    with nugraph3_server(name="nu_test") as (url, _), naiad.Client(url) as client:
        result = NuGraph3Task.client_of(client.model("nu_test")).infer(make_event([0]))
        assert len(result.hits) == 1
        with pytest.raises(ModelNotFound, match="nugraph3"):
            client.nugraph3.infer(make_event([0]))


def test_the_client_needs_no_torch() -> None:
    code = (
        "import sys, naiad; naiad.Client('localhost:9').nugraph3; "
        "import naiad.applications.nugraph.results; print('torch' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"
