"""Batches merged in C++ are answered like single requests, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.fuzz.tasks import packed, protocol
from tests.unit.strategies import GRAPH

from naiad import Budget, Pipeline, Tensor
from naiad.core.merging import Batch, collate
from naiad.core.pipeline import Request
from naiad.core.schema import measure, validate, within_bounds
from naiad.core.settings import ServiceSettings
from naiad.runtime.merging import Merger, can_be_merged, can_be_split
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.runtime.spec import ServiceConfig, Spec
from naiad.runtime.wire import Wire


class Sums(Pipeline):
    """Sums over the edges of a graph with two node types, in NumPy."""

    inputs = {
        name: tensor
        for name, tensor in GRAPH.items()
        if name in ("x_hit", "plane_edge", "nexus_edge", "label", "scalar", "fixed", "x_sp")
    }
    outputs = {
        "hit": Tensor("float64", ("hits",)),
        "edge": Tensor("float32", (3, "plane_edges")),
        "label": Tensor("float32", ("requests", 4)),
        "scalar": Tensor("float32", (1,)),
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


class Paired(Sums):
    """The same with a fixed number of indices per graph, which then must have nodes."""

    inputs = {**Sums.inputs, "pair": Tensor("int32", (2,), index_into=("hits", "spacepoints"))}


WIRE = Wire.of(Sums)
PAIRED = Wire.of(Paired)


@st.composite
def requests(draw: st.DrawFn, wire: Wire = WIRE) -> dict[str, np.ndarray]:
    least = 1 if wire is PAIRED else 0
    hits, spacepoints = draw(st.integers(least, 5)), draw(st.integers(least, 3))
    plane = draw(st.integers(0, 6)) if hits else 0
    nexus = draw(st.integers(0, 6)) if hits and spacepoints else 0
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    arrays = {
        "x_hit": rng.random((hits, 3), np.float32),
        "x_sp": rng.random(spacepoints),
        "plane_edge": rng.integers(0, max(1, hits), (2, plane)),
        "nexus_edge": np.stack(
            [rng.integers(0, max(1, n), nexus) for n in (hits, spacepoints)]
        ).astype(np.int32),
        "label": rng.random((1, 4), np.float32),
        "scalar": np.asarray([rng.random()], np.float32),
        "fixed": rng.integers(0, 255, (2, 2), np.uint8),
    }
    pair = {"pair": rng.integers(0, [hits, spacepoints], 2, np.int32)} if least else {}
    return arrays | pair


def merged(batch: list[dict[str, np.ndarray]], wire: Wire = WIRE) -> Batch:
    return collate(wire.inputs, batch, [validate(wire.inputs, request) for request in batch])


def laid_out(arena: Arena, batch: list[dict[str, np.ndarray]]) -> Batch:
    """Return a batch as ``task.h`` writes it."""
    arrays = list(merged(batch).values())
    offsets: list[int] = []
    end = 0
    for array in arrays:
        offsets.append(end)
        end += -(-array.nbytes // 64) * 64
    memory = arena.reserve(end)
    for offset, array in zip(offsets, arrays, strict=True):
        memory[offset : offset + array.nbytes] = array.tobytes()
    sizes = [validate(WIRE.inputs, request) for request in batch]
    table = np.array([[size[dim] for dim in WIRE.dims] for size in sizes], np.int64)
    places = [n for o, array in zip(offsets, arrays, strict=True) for n in (o, array.nbytes)]
    numbers = np.array([end, len(batch), 1, 1, *table.sum(0), *places, *table.ravel()], np.int64)
    message = np.array([len(numbers)], np.int64).tobytes() + numbers.tobytes()
    read = WIRE.read(message, arena)
    assert isinstance(read, Batch)
    return read


@pytest.fixture(scope="module")
def merger():
    return Merger.of(Runner(Sums()))


@pytest.fixture(scope="module")
def finisher():
    return Merger.of(Runner(Finished()))


@pytest.fixture(scope="module")
def arena():
    arena = Arena()
    yield arena
    arena.close()


@given(batch=st.lists(requests(), min_size=1, max_size=5))
def test_merged_batches_are_answered_as_single_requests_are(
    arena: Arena, merger: Merger, batch: list[dict[str, np.ndarray]]
) -> None:
    report = merger.run(laid_out(arena, batch))
    assert report is not None
    assert report.merged is not None
    assert report.batches[0]["requests"] == len(batch)
    arrays = report.merged
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


class Finished(Sums):
    """The same with a ``finish`` for each request."""

    outputs = {"total": Tensor("float64", ("requests",))}
    result = Sums.outputs

    def finish(self, result: Any) -> dict[str, Any]:
        if result["scalar"] > 1.9:
            raise ValueError("too much")
        return {"total": np.asarray([result["hit"].sum()])}


@given(batch=st.lists(requests(), min_size=1, max_size=5))
def test_merged_batches_are_finished_as_single_requests_are(
    arena: Arena, finisher: Merger, batch: list[dict[str, np.ndarray]]
) -> None:
    report = finisher.run(laid_out(arena, batch))
    assert report is not None
    assert report.merged is None
    asked = [Request(request, validate(Sums.inputs, request)) for request in batch]
    alone = finisher.runner.run(asked).outcomes
    assert list(map(str, report.outcomes)) == list(map(str, alone))
    assert report.batches == [laid_out(arena, batch).totals()]


@given(batch=st.lists(requests(), min_size=1, max_size=5))
def test_a_batch_arrives_as_it_was_laid_out(arena: Arena, batch: list[Any]) -> None:
    read, expected = laid_out(arena, batch), merged(batch)
    assert list(read) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
    assert read.totals() == expected.totals()
    for dim in read.totals():
        np.testing.assert_array_equal(read.sizes(dim), expected.sizes(dim))


class Words(Pipeline):
    """Texts, two per row, and a stacked one."""

    inputs = {"pairs": Tensor("bytes", ("rows", 2)), "name": Tensor("bytes", (1,))}
    outputs = {"first": Tensor("bytes", ("rows",)), "name": Tensor("bytes", ("requests", 1))}
    arrays = "numpy"

    def forward(self, batch: Any) -> dict[str, Any]:
        return {"first": batch["pairs"][:, 0], "name": batch["name"]}


@given(
    texts=st.lists(st.tuples(st.lists(st.binary(max_size=5), max_size=3), st.binary(max_size=5)))
)
def test_texts_that_were_merged_are_answered_as_single_ones_are(
    arena: Arena, texts: list[tuple[list[bytes], bytes]]
) -> None:
    asked = [
        {
            "pairs": np.array([[one, one + b"!"] for one in rows], object).reshape(-1, 2),
            "name": np.array([name], object),
        }
        for rows, name in texts or [([], b"")]
    ]
    wire, merger = Wire.of(Words), Merger.of(Runner(Words()))
    sizes = [{"requests": 1, "rows": len(request["pairs"])} for request in asked]
    data = [b"".join(protocol(request[name]) for request in asked) for name in wire.inputs]
    numbers = [sum(map(len, data)), len(asked), 1, 1]
    numbers += [sum(size[dim] for size in sizes) for dim in wire.dims]
    numbers += [0, len(data[0]), len(data[0]), len(data[1])]
    numbers += [size[dim] for size in sizes for dim in wire.dims]
    arena.reserve(numbers[0])[: numbers[0]] = b"".join(data)
    batch = wire.read(packed(numbers, b""), arena)
    assert isinstance(batch, Batch)
    report = merger.run(batch)
    assert report is not None
    alone = merger.runner.run([Request(one, validate(Words.inputs, one)) for one in asked])
    assert list(map(str, report.outcomes)) == list(map(str, alone.outcomes))


def merged_natively(
    drive: Any, batch: list[dict[str, np.ndarray]], wire: Wire = WIRE
) -> list[bytes | None]:
    """Return the batch's inputs as merged by ``indices.h``; None if it refuses them."""
    config = ServiceConfig(Spec("p"), ServiceSettings(watchdog=2.5, queue_capacity=7))
    numbers: list[int] = [len(batch)]
    for request in batch:
        sizes = measure(wire.inputs, request)
        numbers += (sizes[dim] for dim in wire.dims)
        for name in wire.inputs:
            data = request[name].tobytes()
            numbers += [len(data), *data]
    said = drive("merge", f"{wire.announced(config)}\n{' '.join(map(str, numbers))}")
    return [
        None if line == "refused" else bytes(map(int, line.split())) for line in said.splitlines()
    ]


@pytest.mark.parametrize("wire", [WIRE, PAIRED], ids=["some empty", "paired"])
def test_requests_are_merged_as_collate_does(drive: Any, wire: Wire) -> None:
    @settings(max_examples=40)
    @given(batch=st.lists(requests(wire), min_size=1, max_size=5))
    def check(batch: list[Any]) -> None:
        expected = [array.tobytes() for array in merged(batch, wire).values()]
        assert merged_natively(drive, batch, wire) == expected

    check()


def example(**changes: Any) -> dict[str, np.ndarray]:
    arrays = {
        "x_hit": np.ones((2, 3), np.float32),
        "x_sp": np.ones(1),
        "plane_edge": np.array([[0], [1]]),
        "nexus_edge": np.array([[1], [0]], np.int32),
        "label": np.ones((1, 4), np.float32),
        "scalar": np.asarray([1], np.float32),
        "fixed": np.ones((2, 2), np.uint8),
    }
    return arrays | changes


@pytest.mark.parametrize("beside", [0, 2])
def test_a_batch_that_makes_forward_raise_must_be_run_apart(
    arena: Arena, merger: Merger, beside: int
) -> None:
    batch = laid_out(arena, [example() for _ in range(1 + beside)])
    batch["x_hit"][0] = 6
    assert merger.run(batch) is None


def bounded(tensor: Tensor) -> type[Pipeline]:
    outputs = {"y": Tensor("float32", ("rows",))}
    members = {"name": "bounded", "inputs": {"x": tensor}, "outputs": outputs, "arrays": "numpy"}
    return type("Bounded", (Pipeline,), {**members, "forward": lambda self, batch: {}})


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        (Tensor("float16", ("rows",)), np.nan),
        (Tensor("bool", ("rows",), maximum=0), True),
        (Tensor("int32", ("rows",), categories={1: "one", 3: "three"}), 2),
        (Tensor("int32", ("rows",), index_into="rows", minimum=1), 0),
    ],
)
def test_a_value_that_only_python_can_judge_must_be_run_apart(tensor: Tensor, value: Any) -> None:
    merger = Merger.of(Runner(bounded(tensor)()))
    wrong = {"x": np.full(3, value, tensor.numpy)}
    assert merger.run(Batch(wrong, {"rows": np.array([3]), "requests": np.ones(1, int)}, 1)) is None


@st.composite
def tensors(draw: st.DrawFn) -> tuple[Tensor, np.ndarray]:
    """Draw a tensor that the native backend checks, and an array for it that may be wrong."""
    names = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
    dtype = draw(st.sampled_from((*names, "float32", "float64")))
    array = draw(hnp.arrays(dtype, st.integers(1, 150)))
    finite = [value.item() for value in array if np.isfinite(value)]
    bounds = st.none() | st.floats(-1e3, 1e3) | st.integers(-(2**63), 2**64 - 1)
    if finite:
        bounds |= st.sampled_from([min(finite), max(finite)])
        bounds |= st.sampled_from([min(finite) + 1, max(finite) - 1])
    minimum, maximum, first = draw(bounds), draw(bounds), draw(st.integers(-3, 3))
    categories = {first + step: "some" for step in range(draw(st.integers(1, 9)))}
    some = categories if dtype in names and draw(st.booleans()) else None
    return Tensor(dtype, ("rows",), minimum=minimum, maximum=maximum, categories=some), array


@pytest.mark.slow
@settings(max_examples=300)
@given(given_one=tensors())
def test_the_values_are_found_that_python_finds(
    drive: Any, given_one: tuple[Tensor, np.ndarray]
) -> None:
    tensor, array = given_one
    wire = Wire.of(bounded(tensor))
    neighbour = {"x": np.empty(0, array.dtype)}
    (found,) = merged_natively(drive, [neighbour, {"x": array}, neighbour], wire)
    right = within_bounds(tensor, array, {})
    assert found == (array.tobytes() if right else None)


@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("plane_edge", (1, 0), 2),
        ("plane_edge", (0, 0), -1),
        ("plane_edge", (0, 0), 2**40),
        ("nexus_edge", (0, 0), 2),
        ("nexus_edge", (1, 0), 1),
        ("nexus_edge", (1, 0), -1),
        ("pair", (0,), 2),
        ("pair", (1,), 1),
    ],
)
def test_an_index_into_a_neighbour_is_refused_before_python(
    drive: Any, others: int, name: str, place: tuple[int, ...], value: int
) -> None:
    wrong, *rest = (example(pair=np.array([1, 0], np.int32)) for _ in range(1 + others))
    wrong[name][place] = value  # in the merged graph it would be another request's
    found = merged_natively(drive, [wrong, *rest], PAIRED)
    places = list(PAIRED.inputs)
    assert found[places.index(name)] is None
    assert found.count(None) == 1


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
        {"inputs": {**Sums.inputs, "more": Tensor("int32", ("hits",), optional=True)}},
        {"inputs": {**Sums.inputs, "name": Tensor("bytes", (2, "hits"))}},
        {"inputs": {**Sums.inputs, "id": Tensor("int64", ("hits",), unique=True)}},
        {"inputs": {**Sums.inputs, "image": Tensor("float32", ("hits", "height"))}},
    ],
)
def test_what_is_done_to_each_request_alone_is_not_merged(members: dict[str, Any]) -> None:
    kind = changed(**members)
    if "inputs" in members:
        kind.sample = kind.inputs
    assert can_be_merged(Sums)
    assert not can_be_merged(kind)
    assert not can_be_split(kind)


@pytest.mark.parametrize(
    "members",
    [
        {"finish": lambda self, result: result},
        {
            "outputs": {"best": Tensor("int64", ("hits",), index_into="hits")},
            "result": {"best": Tensor("int64", ("hits",), index_into="hits")},
        },
        {"result": {**Sums.outputs, "more": Tensor("float32", ("hits",))}},
        {
            "outputs": {"name": Tensor("bytes", ("hits",))},
            "result": {"name": Tensor("bytes", ("hits",))},
        },
    ],
)
def test_what_is_done_to_each_result_alone_is_not_split(members: dict[str, Any]) -> None:
    kind = changed(**members)
    assert can_be_split(Sums)
    assert can_be_merged(kind)
    assert not can_be_split(kind)
