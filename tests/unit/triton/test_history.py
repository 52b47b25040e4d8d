"""The ring of last requests, as written by the native backend (tests/e2e/test_observation.py)."""

import os
from collections.abc import Iterator

import pytest
from tests.support.history import kept, write

from naiad.errors import Unavailable
from naiad.triton.history import PROBE, History

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def ring() -> Iterator[History]:
    with kept(4) as ring:
        yield ring


def ids(ring: History, count: int) -> list[str]:
    return [one.id for one in ring.last(count).requests]


def test_a_new_one_is_empty(ring: History) -> None:
    found = ring.last(5)
    assert (found.requests, found.total, found.kept, found.since) == ([], 0, 0, None)
    assert not ring.find("a").requests


def test_a_request_is_read_with_its_batch_and_stages(ring: History) -> None:
    write(ring, id="a")
    (one,) = ring.find("a").requests
    assert (one.number, one.model, one.version, one.error) == (1, "net", 3, "")
    assert one.rows == {"requests": 1, "nodes": 10}
    assert one.seconds == pytest.approx(0.1)
    assert one.batch is not None
    assert one.batch.rows == {"requests": 2, "nodes": 30}
    assert (one.batch.number, one.batch.requests, one.batch.worker) == (7, 2, 1)
    assert one.batch.threads == 2
    times = {stage.name: (round(stage.began, 3), round(stage.ended, 3)) for stage in one.stages}
    assert times == {
        "queue": (0.0, 0.01),
        "send": (0.01, 0.02),
        "forward": (0.04, 0.05),
        "reply": (0.083, 0.1),
    }


def test_a_request_that_was_refused_at_once_has_no_stages(ring: History) -> None:
    never = dict.fromkeys(("taken", "sent", "received", "batch"), 0)
    write(ring, id="a", **never, spans=[(0, 0)] * 6, code=3, kind="InvalidInput")
    (one,) = ring.find("a").requests
    assert (one.error, one.batch, one.stages) == ("InvalidInput", None, [])


def test_only_the_last_are_kept(ring: History) -> None:
    for name in "abcdef":
        write(ring, id=name)
    assert ids(ring, 9) == ["c", "d", "e", "f"]
    assert ids(ring, 2) == ["e", "f"]
    found = ring.find("a")
    assert (found.requests, found.total, found.kept) == ([], 6, 4)
    assert found.since == pytest.approx(ring.find("c").requests[0].arrived, abs=0.01)
    assert list(ring.records(after=4)["number"]) == [5, 6]


def test_requests_are_found_by_id_trace_and_number(ring: History) -> None:
    write(ring, id="a")
    write(ring, id="a", trace=TRACE)
    write(ring, id="é" * 60)  # longer than is kept
    write(ring, id=TRACE)
    assert [one.number for one in ring.find("a").requests] == [1, 2]
    assert [one.number for one in ring.find(TRACE).requests] == [2, 4]
    assert [one.number for one in ring.find("#3").requests] == [3]
    assert [one.number for one in ring.find("é" * 60).requests] == [3]
    for unknown in ("", "A", "a\0", "#9", "#x", "\udcff"):
        assert not ring.find(unknown).requests


def test_one_that_is_being_written_is_left_out(ring: History) -> None:
    write(ring, id="a")
    write(ring, id="b", number=0)
    assert ids(ring, 9) == ["a"]


def test_probes_are_not_listed(ring: History) -> None:
    write(ring, id="a")
    write(ring, id=PROBE)
    assert ids(ring, 9) == ["a"]
    assert len(ring.find(PROBE).requests) == 1


def test_another_process_reads_it_while_its_owner_lives(ring: History) -> None:
    write(ring, id="a")
    path = ring.path
    other = History.open(path)
    assert ids(other, 1) == ["a"]
    other.close()
    with pytest.raises(Unavailable, match="cannot be read"):
        History.open("/proc/self/fd/99999")


def test_one_of_another_version_is_refused() -> None:
    ring = History.make(1)
    file = os.open(ring.path, os.O_RDWR)
    os.pwrite(file, b"\x02", 8)
    with pytest.raises(Unavailable, match="of another version of Naiad"):
        History.open(ring.path)
    os.close(file)
    ring.close()
