"""On no path does an index of another request reach ``forward``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.pipelines import Everything, Merged
from tests.fuzz.tasks import Ask, answers, numbers_of, packed

from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, random_arrays
from naiad.core.schema import REQUESTS, Tensor, named_dims
from naiad.runtime.merging import Merger
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.runtime.wire import Wire
from naiad.triton.worker import answer


def graph_of(batch: Batch, tensor: Tensor, whole: Any) -> Any:
    """Return the request of each element of a merged tensor."""
    if tensor.axis is None:
        return np.arange(batch.requests).reshape(-1, *[1] * (whole.ndim - 1))
    shape = [1] * whole.ndim
    shape[tensor.axis] = -1
    return batch.index(str(tensor.dims[tensor.axis])).reshape(shape)


def require_own_indices(schema: Any, batch: Batch) -> None:
    """Check the assumptions of compiled code in the plainest way."""
    for name, tensor in schema.items():
        if not tensor.index_targets() or name not in batch or not batch[name].size:
            continue
        whole = batch[name].astype(object)
        owner = np.broadcast_to(graph_of(batch, tensor, whole), whole.shape)
        for row, target in enumerate(tensor.index_targets()):
            part: Any = ...
            if not isinstance(tensor.index_into, str):  # stacked tensors have one more axis
                part = (slice(None), row) if tensor.axis is None else row
            ends = np.cumsum(batch.sizes(target))
            starts = ends - batch.sizes(target)
            values, graphs = whole[part], owner[part]
            assert (values >= starts[graphs]).all(), name
            assert (values < ends[graphs]).all(), name


class Watched(Everything):
    """A pipeline that reports indices into other requests."""

    def forward(self, batch: Any) -> dict[str, Any]:
        require_own_indices(self.sample, batch)
        return super().forward(batch)


class Misled(Watched):
    """A pipeline whose ``prepare`` makes a wrong index on request."""

    change: Any = None

    def prepare(self, request: Any) -> dict[str, Any]:
        arrays = super().prepare(request)
        if request.id == "wrong":
            name, place, value = Misled.change
            arrays[name] = arrays[name].copy()
            arrays[name].flat[place % arrays[name].size] = value
        return arrays


class WatchedMerged(Merged):
    """The same, merged by the native backend."""

    def forward(self, batch: Any) -> dict[str, Any]:
        require_own_indices(self.sample, batch)
        return super().forward(batch)


def example(kind: type[Pipeline], seed: int, nodes: int) -> dict[str, Any]:
    sizes = dict.fromkeys(named_dims(kind.inputs), nodes)
    return random_arrays(kind.inputs, sizes, seed)


indices = {
    kind: [name for name, tensor in kind.inputs.items() if tensor.index_targets()]
    for kind in (Watched, WatchedMerged)
}
hostile = st.sampled_from(
    [
        *(-1, -2, 3, 4, 5, 6, 7, 8, 127, 128, 255, 256, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
        *(2**32 + 1, 2**62, 2**63 - 1, 2**64 - 1, -(2**31), -(2**32) + 1, -(2**63)),
    ]
)


class Desk:
    def __init__(self, kind: type[Pipeline]) -> None:
        self.inbox, self.outbox = Arena(), Arena()
        runner = Runner(kind())
        self.wire = Wire.of(kind, runner.contract)
        self._rest = (self.inbox, self.outbox, self.wire, runner, Merger.of(runner))

    def ask(self, asked: list[Ask]) -> list[Any]:
        task = packed(*numbers_of(self.wire, asked, self.inbox))
        return answers(self.wire, answer(task, *self._rest), self.outbox)


@pytest.fixture(scope="module")
def desks() -> Iterator[dict[type[Pipeline], Desk]]:
    made: dict[type[Pipeline], Desk] = {k: Desk(k) for k in (Watched, Misled, WatchedMerged)}
    yield made
    for desk in made.values():
        desk.inbox.close()
        desk.outbox.close()


def limit_of(tensor: Tensor, nodes: int) -> int:
    """Return the number of valid positions; all dimensions have the same size here."""
    return 1 if tensor.index_into == REQUESTS else nodes


def spoiled(data: st.DataObject, kind: type[Pipeline], arrays: dict[str, Any]) -> bool:
    """Put a hostile index somewhere; return whether it is out of range."""
    name = data.draw(st.sampled_from(indices[kind]))
    whole = arrays[name]
    value = data.draw(hostile)
    limits = np.iinfo(whole.dtype)
    value = (value - limits.min) % (limits.max - limits.min + 1) + limits.min
    whole.flat[data.draw(st.integers(0, whole.size - 1))] = value
    return not 0 <= value < limit_of(kind.inputs[name], len(arrays["x_hit"]))


@pytest.mark.parametrize("kind", [Watched, WatchedMerged])
@given(data=st.data(), seed=st.integers(0, 99))
def test_a_clients_index_is_refused_and_its_neighbours_answered(
    desks: Any, kind: type[Pipeline], data: st.DataObject, seed: int
) -> None:
    graphs = [example(kind, seed + n, 3 + n) for n in range(3)]
    place = data.draw(st.integers(0, 2))
    wrong = spoiled(data, kind, graphs[place])
    found = desks[kind].ask([Ask.of(arrays) for arrays in graphs])
    for number, outcome in enumerate(found):
        if number == place and wrong:
            assert outcome[:2] == (3, "InvalidInput"), outcome
            assert "it must be 0 to" in outcome[2]
        else:
            assert isinstance(outcome, dict), outcome


@given(data=st.data(), seed=st.integers(0, 99))
def test_an_index_that_prepare_makes_is_refused_too(
    desks: Any, data: st.DataObject, seed: int
) -> None:
    graphs = [example(Misled, seed + n, 3 + n) for n in range(3)]
    place = data.draw(st.integers(0, 2))
    name = data.draw(st.sampled_from([n for n in indices[Watched] if n in Misled.sample]))
    limits = np.iinfo(Misled.sample[name].numpy)
    value = data.draw(hostile)
    value = (value - limits.min) % (limits.max - limits.min + 1) + limits.min
    Misled.change = (name, data.draw(st.integers(0, 99)), value)
    ids = [b"wrong" if number == place else b"" for number in range(3)]
    asked = [Ask.of(arrays, id) for arrays, id in zip(graphs, ids, strict=True)]
    found = desks[Misled].ask(asked)
    for number, outcome in enumerate(found):
        if number == place and not 0 <= value < limit_of(Misled.sample[name], 3 + place):
            assert outcome[:2] == (1, "PipelineError"), outcome
            assert f"prepare() returned an invalid index: {name}[" in outcome[2]
        else:
            assert isinstance(outcome, dict), outcome


def test_the_check_of_this_test_sees_an_index_of_a_neighbour() -> None:
    tensor = Tensor("int64", (2, "edges"), index_into=("nodes", "nodes"))
    sizes = {"nodes": np.array([2, 2]), "edges": np.array([1, 1])}
    right = np.array([[0, 2], [1, 3]])
    require_own_indices({"e": tensor}, Batch({"e": right}, sizes, 2))
    single = replace(tensor, index_into="nodes")
    for schema in ({"e": tensor}, {"e": single}):
        for place in np.ndindex(2, 2):
            wrong = right.copy()
            wrong[place] = (wrong[place] + 2) % 4
            with pytest.raises(AssertionError):
                require_own_indices(schema, Batch({"e": wrong}, sizes, 2))
