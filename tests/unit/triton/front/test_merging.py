"""Batches that the front merged are answered as requests by themselves are, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.strategies import GRAPH

from naiad import Budget, Pipeline, Tensor
from naiad.pipeline import Request
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.schema import validate
from naiad.triton.front.merging import Merged, Merger, can_be_merged
from naiad.triton.front.wire import Wire


class Sums(Pipeline):
    """Sums over the edges of a graph of two node types, in NumPy."""

    inputs = {
        name: tensor
        for name, tensor in GRAPH.items()
        if name in ("x_hit", "plane_edge", "nexus_edge", "label", "scalar", "fixed", "x_sp")
    }
    outputs = {
        "hit": Tensor("float64", ("hits",)),
        "edge": Tensor("float32", (3, "plane_edges")),
        "label": Tensor("float32", ("requests", 4)),
        "scalar": Tensor("float32", ()),
    }
    arrays = "numpy"
    calls = 0

    def forward(self, batch: Any) -> dict[str, Any]:
        Sums.calls += 1
        x, (source, target) = batch["x_hit"], batch["plane_edge"]
        hits, spacepoints = batch["nexus_edge"]
        total = np.zeros(len(x))
        np.add.at(total, target, x[source].sum(1))
        np.add.at(total, hits, batch["x_sp"][spacepoints])
        if (x > 5).any():
            raise ValueError("more than five")
        return {
            "hit": total,
            "edge": x[source].T.copy(),
            "label": 2 * batch["label"],
            "scalar": batch["scalar"] + 1,
        }


WIRE = Wire.of(Sums)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, np.ndarray]:
    hits, spacepoints = draw(st.integers(0, 5)), draw(st.integers(0, 3))
    plane = draw(st.integers(0, 6)) if hits else 0
    nexus = draw(st.integers(0, 6)) if hits and spacepoints else 0
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return {
        "x_hit": rng.random((hits, 3), np.float32),
        "x_sp": rng.random(spacepoints),
        "plane_edge": rng.integers(0, max(1, hits), (2, plane)),
        "nexus_edge": np.stack(
            [rng.integers(0, max(1, n), nexus) for n in (hits, spacepoints)]
        ).astype(np.int32),
        "label": rng.random((1, 4), np.float32),
        "scalar": np.asarray(rng.random(), np.float32),
        "fixed": rng.integers(0, 255, (2, 2), np.uint8),
    }


def laid_out(arena: Arena, batch: list[dict[str, np.ndarray]]) -> Merged:
    """A batch as ``task.h`` writes it."""
    merged: list[np.ndarray] = []
    for name, tensor in WIRE.inputs.items():
        parts = [request[name] for request in batch]
        if tensor.axis is None:
            merged.append(np.stack(parts))
        else:
            merged.append(np.concatenate(parts, axis=tensor.axis))
    offsets: list[int] = []
    end = 0
    for array in merged:
        offsets.append(end)
        end += -(-array.nbytes // 64) * 64
    memory = arena.reserve(end)
    for offset, array in zip(offsets, merged, strict=True):
        memory[offset : offset + array.nbytes] = array.tobytes()
    sizes = [validate(WIRE.inputs, request) for request in batch]
    table = np.array([[size[dim] for dim in WIRE.dims] for size in sizes], np.int64)
    numbers = np.array([end, len(batch), 1, *table.ravel(), *offsets], np.int64)
    message = np.array([len(numbers)], np.int64).tobytes() + numbers.tobytes()
    read = WIRE.read(message, arena)
    assert isinstance(read, Merged)
    return read


@pytest.fixture(scope="module")
def merger():
    return Merger.of(Runner(Sums()))


@pytest.fixture(scope="module")
def arena():
    arena = Arena()
    yield arena
    arena.close()


@given(batch=st.lists(requests(), min_size=1, max_size=5))
def test_merged_batches_are_answered_as_single_requests_are(
    arena: Arena, merger: Merger, batch: list[dict[str, np.ndarray]]
) -> None:
    done = merger.run(laid_out(arena, batch))
    assert done is not None
    arrays, report = done
    assert report.batches[0]["requests"] == len(batch)
    ends = dict.fromkeys(Sums.outputs, 0)
    for number, request in enumerate(batch):
        sizes = validate(Sums.inputs, request)
        (alone,) = merger.runner.run([Request(request, sizes)]).outcomes
        assert isinstance(alone, dict)
        for name, tensor in Sums.outputs.items():
            if tensor.axis is None:
                share = arrays[name][number]
            else:
                start = ends[name]
                ends[name] += sizes[str(tensor.dims[tensor.axis])]
                share = arrays[name].take(range(start, ends[name]), axis=tensor.axis)
            np.testing.assert_array_equal(share, alone[name])


@given(batch=st.lists(requests(), min_size=1, max_size=5))
def test_taken_apart_each_request_is_what_it_was(
    arena: Arena, batch: list[dict[str, np.ndarray]]
) -> None:
    for share, request in zip(laid_out(arena, batch).apart(Sums.inputs), batch, strict=True):
        assert list(share) == list(request)
        for name, array in request.items():
            np.testing.assert_array_equal(share[name], array)


def example(**changes: Any) -> dict[str, np.ndarray]:
    arrays = {
        "x_hit": np.ones((2, 3), np.float32),
        "x_sp": np.ones(1),
        "plane_edge": np.array([[0], [1]]),
        "nexus_edge": np.array([[1], [0]], np.int32),
        "label": np.ones((1, 4), np.float32),
        "scalar": np.asarray(1, np.float32),
        "fixed": np.ones((2, 2), np.uint8),
    }
    return arrays | changes


@pytest.mark.parametrize(
    "wrong",
    [
        {"x_hit": np.full((2, 3), np.nan, np.float32)},
        {"x_hit": np.full((2, 3), 6, np.float32)},
        {"x_sp": np.array([np.inf])},
    ],
)
@pytest.mark.parametrize("beside", [0, 2])
def test_what_is_wrong_goes_the_long_way(
    arena: Arena, merger: Merger, wrong: dict[str, Any], beside: int
) -> None:
    merged = laid_out(arena, [example() for _ in range(1 + beside)])
    for name, value in wrong.items():
        merged.arrays[name].flags.writeable = True
        merged.arrays[name][: len(value)] = value
    assert merger.run(merged) is None
    first = merged.apart(Sums.inputs)[0]
    for name, value in wrong.items():
        np.testing.assert_array_equal(first[name], value)


@pytest.mark.parametrize("requests", [1, 3])
@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("plane_edge", (1, 0), 2), ("plane_edge", (0, 0), -1), ("nexus_edge", (1, 0), 1)],
)
def test_an_index_into_a_neighbour_goes_the_long_way(
    arena: Arena, merger: Merger, requests: int, name: str, place: tuple[int, int], value: int
) -> None:
    merged = laid_out(arena, [example() for _ in range(requests)])
    array = merged.arrays[name]
    array.flags.writeable = True
    array[place] = value  # the first request's: of the merged graph it would be another's
    assert merger.run(merged) is None


def test_where_memory_ran_out_the_runner_cuts_the_batch(arena: Arena) -> None:
    merger = Merger.of(Runner(Sums(), budget=Budget(hits=3)))
    assert merger.run(laid_out(arena, [example()])) is not None
    assert merger.run(laid_out(arena, [example(), example()])) is None


def changed(**members: Any) -> type[Pipeline]:
    return type("Changed", (Sums,), {"name": "changed", **members})


@pytest.mark.parametrize(
    "members",
    [
        {"prepare": lambda self, request: request.arrays},
        {"finish": lambda self, result: result},
        {"inputs": {**Sums.inputs, "more": Tensor("int32", ("hits",), optional=True)}},
        {"inputs": {**Sums.inputs, "name": Tensor("bytes", ("hits",))}},
        {"inputs": {**Sums.inputs, "id": Tensor("int64", ("hits",), unique=True)}},
        {"inputs": {**Sums.inputs, "image": Tensor("float32", ("hits", "height"))}},
        {
            "outputs": {"best": Tensor("int64", ("hits",), index_into="hits")},
            "result": {"best": Tensor("int64", ("hits",), index_into="hits")},
        },
        {"result": {**Sums.outputs, "more": Tensor("float32", ("hits",))}},
    ],
)
def test_what_is_done_to_each_request_alone_is_not_merged(members: dict[str, Any]) -> None:
    kind = changed(**members)
    if "sample" not in members and "inputs" in members:
        kind.sample = kind.inputs
    assert can_be_merged(Sums)
    assert not can_be_merged(kind)
