"""What the native backend sends, a worker reads; what a worker answers, it can read."""

from __future__ import annotations

import json
import os
import struct
from array import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz import tasks
from tests.support.wire import Ask, protocol, task
from tests.unit.strategies import GRAPH, graphs

from naiad import Budget, Pipeline, Tensor
from naiad.core.pipeline import Request
from naiad.core.settings import ServiceSettings
from naiad.errors import InvalidInput, PipelineError, Unavailable
from naiad.runtime.runner import Report
from naiad.runtime.shared import Arena
from naiad.runtime.spec import ServiceConfig, Spec
from naiad.runtime.wire import REPORTED, Wire


class Plenty(Pipeline):
    inputs = {**GRAPH, "more": Tensor("int32", ("hits",), optional=True, default=7)}
    outputs = GRAPH
    budget = Budget(hits=10, requests=4)
    limit = Budget(spacepoints=9)


WIRE = Wire.of(Plenty)


@pytest.fixture(scope="module")
def arenas():
    ours = Arena()
    theirs = Arena(os.dup(ours.fd))
    yield ours, theirs
    ours.close()
    theirs.close()


def answers(outbox: Arena, message: bytes) -> tuple[list[Any], list[int]]:
    """What the native backend reads: arrays or errors, and the integers behind them."""
    (count,) = struct.unpack_from("=q", message)
    numbers = iter(struct.unpack_from(f"={count}q", message, 8))
    text = 8 * (count + 1)
    memory = outbox.reserve(next(numbers))
    found: list[Any] = []
    count, merged = next(numbers), next(numbers)
    assert not merged
    for _ in range(count):
        if code := next(numbers):
            sizes = next(numbers), next(numbers)
            parts = [message[text : text + sizes[0]], message[text + sizes[0] :][: sizes[1]]]
            text += sum(sizes)
            found.append((code, *(part.decode() for part in parts)))
            continue
        outputs: dict[str, Any] = {}
        for name in WIRE.outputs:
            rank = next(numbers)
            if rank >= 0:
                shape = tuple(next(numbers) for _ in range(rank))
                offset, size = next(numbers), next(numbers)
                outputs[name] = (shape, bytes(memory[offset : offset + size]))
        found.append(outputs)
    return found, list(numbers)


asks = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.dictionaries(st.text("ab", min_size=1), st.integers() | st.text("xy"), max_size=2),
    graphs(),
)


@given(asked=st.lists(asks, max_size=4))
def test_requests_arrive_as_they_were_sent(arenas: Any, asked: list[Ask]) -> None:
    ours, theirs = arenas
    read = WIRE.read(task(WIRE, ours, asked), theirs)
    assert len(read) == len(asked)
    for request, (name, parameters, arrays) in zip(read, asked, strict=True):
        assert isinstance(request, Request)
        assert (request.id, request.parameters) == (name, parameters)
        for key, sent in arrays.items():
            np.testing.assert_array_equal(request[key], sent)
            assert request[key].dtype == sent.dtype
            assert request[key].flags.writeable  # torch.from_numpy warns of others
        np.testing.assert_array_equal(request["more"], np.full(len(arrays["x_hit"]), 7))


@given(results=st.lists(graphs(), max_size=4))
def test_answers_arrive_as_they_were_given(arenas: Any, results: list[Any]) -> None:
    ours, theirs = arenas
    report = Report([dict(result) for result in results])
    report.batches.append({"hits": 3, "requests": len(results)})
    report.spans["forward"] = (1.5, 1.75)
    found, rest = answers(theirs, WIRE.write(report, ours))
    for outputs, result in zip(found, results, strict=True):
        for name, value in result.items():
            assert outputs[name] == (value.shape, protocol(value)), name
    assert rest[: len(REPORTED) + 1] == [0] * len(REPORTED) + [1]
    spans = {"forward": [1_500_000_000, 1_750_000_000]}
    assert rest[-2 * len(REPORTED) :] == [
        at for stage in REPORTED for at in spans.get(stage, [0, 0])
    ]
    rows = dict(zip(WIRE.dims, rest[len(REPORTED) + 1 : -2 * len(REPORTED)], strict=True))
    assert {dim: size for dim, size in rows.items() if size} == {
        dim: size for dim, size in report.batches[0].items() if size
    }


def test_a_request_that_is_wrong_is_told_so_beside_others_that_run(arenas: Any) -> None:
    ours, theirs = arenas
    right = {
        "x_hit": np.zeros((1, 3), np.float32),
        "x_sp": np.zeros(1),
        "plane_edge": np.zeros((2, 1), np.int64),
        "nexus_edge": np.zeros((2, 1), np.int32),
        "parent": np.zeros(1, np.int64),
        "sp_event": np.zeros(1, np.int64),
        "tag": np.array([b"t"], object),
        "label": np.zeros((1, 4), np.float32),
        "scalar": np.zeros(1, np.float32),
        "fixed": np.zeros((2, 2), np.uint8),
    }
    wrong = right | {"parent": np.array([5])}
    read = WIRE.read(task(WIRE, ours, [("a", {}, wrong), ("b", {}, right)]), theirs)
    assert isinstance(read[0], InvalidInput)
    assert isinstance(read[1], Request)
    report = Report([read[0], PipelineError("it is broken")])
    found, _ = answers(theirs, WIRE.write(report, ours))
    assert found == [
        (3, "InvalidInput", "parent[0] is 5; it must be 0 to 0: there are 1 spacepoints"),
        (1, "PipelineError", "it is broken"),
    ]
    report = Report([Unavailable("later")])
    assert answers(theirs, WIRE.write(report, ours))[0] == [(4, "Unavailable", "later")]


class Checked(Pipeline):
    """A pipeline with one input that the native backend checks, and one that it does not."""

    inputs = {
        "x": Tensor("float32", ("rows",), maximum=1),
        "id": Tensor("int32", ("rows",), unique=True),
        "more": Tensor("float32", ("rows",), optional=True, default=7, maximum=9),
    }
    outputs = {"x": inputs["x"]}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, ""),
        ({"x": np.array([2, 0], np.float32)}, ""),  # the native backend has checked it
        ({"id": np.array([5, 5], np.int32)}, "id[1] is 5, as is id[0]; values must be unique"),
        ({"more": None, "x": np.array([2, 0], np.float32)}, "x[0] is 2; it must be at most 1"),
    ],
)
def test_a_request_that_was_checked_is_not_checked_again(
    arenas: Any, changes: dict[str, Any], wrong: str
) -> None:
    ours, theirs = arenas
    wire = Wire.of(Checked)
    arrays = {
        "x": np.zeros(2, np.float32),
        "id": np.arange(2, dtype=np.int32),
        "more": np.ones(2, np.float32),
    }
    sent = {name: array for name, array in (arrays | changes).items() if array is not None}
    ask = replace(tasks.Ask.of(sent), sizes={"requests": 1, "rows": 2})
    (read,) = wire.read(tasks.packed(*tasks.numbers_of(wire, [ask], ours)), theirs)
    if wrong:
        assert str(read) == wrong
    else:
        assert isinstance(read, Request)
        assert read.sizes == {"requests": 1, "rows": 2}
        np.testing.assert_array_equal(read["x"], sent["x"])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "tag: there are fewer than 1 elements"),
        (b"\x09\0\0\0abc", "tag: element 0 of 1 is longer than the data sent"),
        (b"\xff\xff\xff\xffabc", "tag: element 0 of 1 is longer than the data sent"),
        (b"\x01\0\0\0a\x01\0\0\0b", "tag: there are more than 1 elements"),
    ],
)
def test_bytes_that_are_not_of_the_protocols_form_are_refused(
    arenas: Any, data: bytes, reason: str
) -> None:
    ours, theirs = arenas

    class Tags(Pipeline):
        inputs = {"tag": Tensor("bytes", ("tags",))}
        outputs = inputs

    ours.reserve(64)[: len(data)] = data
    numbers = [64, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, len(data)]
    message = array("q", [len(numbers), *numbers]).tobytes()
    (error,) = Wire.of(Tags).read(message, theirs)
    assert isinstance(error, InvalidInput)
    assert str(error) == reason


def test_the_contract_names_dims_by_place() -> None:
    config = ServiceConfig(Spec("p"), ServiceSettings(watchdog=2.5, queue_capacity=7))
    said = json.loads(WIRE.announced(config))
    assert said["dims"][0] == "requests"
    nexus = next(port for port in said["inputs"] if port["name"] == "nexus_edge")
    assert nexus["dims"] == [-1, said["dims"].index("nexus_edges")]
    assert nexus["dtype"] == 8  # TRITONSERVER_TYPE_INT32
    assert said["limit"] == {"spacepoints": 9}
    assert said["budget"] == {"hits": 10, "requests": 4}
    assert (said["watchdog"], said["queue_capacity"]) == (2.5, 7)
