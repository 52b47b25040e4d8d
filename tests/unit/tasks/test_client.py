"""What the typed client of a task promises, with a task of three lines and a server of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.unit.golden.served import serving

from naiad import Budget, Client, Pipeline, Tensor, export
from naiad.errors import InvalidInput, NaiadError, Unavailable
from naiad.tasks.client import TaskClient, batches
from naiad.tasks.task import Task


class Roots(Pipeline):
    """Roots of numbers, scaled."""

    name = "roots"
    inputs = {
        "x": Tensor("float32", ("numbers",), minimum=0),
        "scale": Tensor("float32", ("scales",)),
    }
    outputs = {"y": Tensor("float32", ("numbers",)), "count": Tensor("int64", ("numbers",))}
    limit = Budget(numbers=8)
    arrays = "numpy"

    def forward(self, batch: Any) -> Mapping[str, Any]:
        """Say of each number how many its request had."""
        x = batch["x"]
        return {"y": np.sqrt(x) * batch["scale"][0], "count": np.full(len(x), len(x))}

    def example(self) -> dict[str, Any]:
        return {"x": np.ones(1, np.float32), "scale": np.ones(1, np.float32)}


class RootsTask(Task[float, "tuple[float, int]"]):
    """Take roots."""

    name, pipeline = "roots", f"{__file__}:Roots"
    unit, listed, concurrency = "numbers", True, 2

    @dataclass(frozen=True)
    class Options:
        """How roots are taken."""

        scale: float = 1.0
        digits: int = field(default=3, metadata={"display": True})

    def request(self, unit: float, options: Options) -> dict[str, Any]:
        if not isinstance(unit, float):
            raise InvalidInput(f"x[0] is {unit!r}; it must be a number")
        return {"x": np.array([unit], np.float32), "scale": np.array([options.scale], np.float32)}

    def answer(self, unit: float, outputs: Mapping[str, Any], card: Any) -> tuple[float, int]:
        return float(outputs["y"][0]), int(outputs["count"][0])

    def rows(self, result: tuple[float, int]) -> Iterator[tuple[float, int]]:
        yield result


class Grouped(RootsTask):
    """The same, four to a request."""

    name, model, group, grouped = "grouped_roots", "roots", 4, ("x",)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("models")
    with serving(export(Roots, folder, portable=False)) as url, Client(url) as client:
        yield client


def ask(client: Client, kind: type[RootsTask]) -> TaskClient[float, tuple[float, int]]:
    return TaskClient(client.model("roots"), kind())


@pytest.mark.parametrize(("kind", "sizes"), [(RootsTask, [1] * 6), (Grouped, [4] * 4 + [2] * 2)])
def test_units_share_requests_as_the_task_says(client: Client, kind: Any, sizes: list[int]):
    found = ask(client, kind).infer([float(n * n) for n in range(6)], scale=2.0)
    assert found == [(2.0 * n, size) for n, size in enumerate(sizes)]


@pytest.mark.parametrize("kind", [RootsTask, Grouped])
def test_a_unit_that_is_refused_fails_alone_and_is_named(client: Client, kind: Any):
    units = [1.0, 4.0, -9.0, 16.0, "25", 36.0]
    found = list(ask(client, kind).try_many(units))
    assert [answer[0] for answer in found if not isinstance(answer, NaiadError)] == [1, 2, 4, 6]
    assert str(found[2]) == "x[0] is -9; it must be at least 0"
    assert str(found[4]) == "x[0] is '25'; it must be a number"
    with pytest.raises(InvalidInput, match=r"^numbers\[2\] is -9; it must be at least 0$"):
        ask(client, kind).infer(units)
    answers = ask(client, kind).infer_many(units)
    assert [next(answers)[0], next(answers)[0]] == [1, 2]
    with pytest.raises(InvalidInput, match="is -9"):
        next(answers)


def test_large_units_share_no_requests(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("naiad.tasks.client._MOST_TOGETHER", 12)
    found = ask(client, Grouped).infer([1.0] * 6)
    assert [size for _, size in found] == [1, 1, 1, 1, 2, 2]


def test_a_server_that_is_gone_is_not_asked_for_each_unit_of_a_group(client: Client):
    asked: list[Any] = []

    class Gone(Grouped):
        def answer(self, unit: float, outputs: Mapping[str, Any], card: Any) -> tuple[float, int]:
            asked.append(unit)
            raise Unavailable("the server is gone")

    found = list(ask(client, Gone).try_many([1.0, 4.0, 9.0]))
    assert [str(error) for error in found] == ["the server is gone"] * 3
    assert asked == [1.0]


def test_options_that_only_reports_need_are_none_of_the_client(client: Client):
    roots = ask(client, RootsTask)
    assert roots.infer([4.0], 3.0) == [(6.0, 1)]
    with pytest.raises(InvalidInput, match="no option 'digits'; options: scale"):
        roots.infer([4.0], digits=2)
    with pytest.raises(InvalidInput, match="2 options without names; there are 1: scale"):
        roots.infer([4.0], 3.0, 2)
    with pytest.raises(InvalidInput, match="numbers is one str; give a list of numbers"):
        roots.infer("4")


def test_batches_have_all_items_in_order():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
