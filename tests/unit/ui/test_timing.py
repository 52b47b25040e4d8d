"""Where the time of requests went, as the page shows it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.history import write
from tests.support.ports import free_ports

from naiad.control_key import VARIABLE
from naiad.triton.health import Health, HealthEndpoint
from naiad.triton.history import History
from naiad.triton.past_requests import PastRequests
from naiad.ui.timing import timing

KEY = "the-control-key-of-this-test"


@pytest.fixture
def ring() -> Iterator[History]:
    ring = History.make(4)
    yield ring
    ring.close()


@pytest.fixture
def past(ring: History, monkeypatch: pytest.MonkeyPatch) -> Iterator[PastRequests]:
    monkeypatch.setenv(VARIABLE, KEY)
    endpoint = HealthEndpoint(Health(30), "127.0.0.1", 0)
    endpoint.share(ring, KEY)
    (port,) = free_ports(1)
    yield PastRequests(f"localhost:{port}", f"localhost:{endpoint.port}")
    endpoint.close()


def test_stages_and_batch_are_shown_and_markup_in_a_name_is_text(
    ring: History, past: PastRequests
) -> None:
    write(ring, id="<b>&", trace="ab" * 16)
    told = timing(past, "<b>&")
    assert "<strong>&lt;b&gt;&amp; (#1)</strong> to net version 3 arrived at" in told
    assert "batch 7, with 1 other, on worker 1" in told
    assert "<td>queue</td><td>0.00 ms</td><td>10.00 ms</td><td>10.00 ms</td>" in told
    assert 'style="margin-left:0.00%;width:10.00%"' in told  # of 0.1 s
    assert "<td>nodes</td><td>10</td><td>30</td>" in told
    anonymous = timing(past, "#1", named=False)
    assert "<strong>#1</strong>" in anonymous
    assert "ab" * 16 in told
    assert "ab" * 16 not in anonymous


def test_of_several_requests_the_slowest_is_shown(ring: History, past: PastRequests) -> None:
    for _ in range(3):
        write(ring, id="page-1")
    told = timing(past, "page-1")
    assert "3 requests were sent; this is the slowest:" in told
    assert told.count("naiad-stages") == 1


def test_it_is_said_why_nothing_is_known(
    ring: History, past: PastRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.triton.past_requests._PATIENCE", 0)
    write(ring, id="another")
    assert "No request page-1: the server has answered 1 requests" in timing(past, "page-1")
    (port,) = free_ports(1)
    gone = PastRequests(f"localhost:{port}", f"localhost:{port}")
    assert "are not known here: no health port at" in timing(gone, "page-1")
    monkeypatch.delenv(VARIABLE)
    assert f"set {VARIABLE}" in timing(PastRequests("gpu1.example.org"), "page-1")
