"""The typed clients of a task, blocking and asyncio, with a small task and its own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.unit.client.clients import both, in_a_loop
from tests.unit.golden.served import serving

from naiad import AsyncClient, Budget, Client, Pipeline, Tensor, export
from naiad.errors import InvalidInput, NaiadError, Unavailable
from naiad.tasks.aio import AsyncTaskClient
from naiad.tasks.client import TaskClient
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


class Single(RootsTask):
    """The same, for one number."""

    name, model, listed = "root", "roots", False


class Grouped(RootsTask):
    """The same, four to a request."""

    name, model, group, grouped = "grouped_roots", "roots", 4, ("x",)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("models")
    with serving(export(Roots, folder, portable=False)) as url:
        yield url


async def collected(answers: Any) -> list[Any]:
    """Collect what either client yields; an error that ends it comes last."""
    found: list[Any] = []
    try:
        if isinstance(answers, AsyncIterator):
            async for answer in answers:
                found.append(answer)  # noqa: PERF401 - those before an error are kept
        else:
            found.extend(answers)
    except NaiadError as error:
        found.append(error)
    return found


def every(answers: Any) -> Any:
    work = collected(answers)
    return work if isinstance(answers, AsyncIterator) else asyncio.run(work)


def roots(client: Any, kind: type[RootsTask] = RootsTask) -> Any:
    return kind.client_of(client.model("roots"))


def test_a_task_has_a_client_of_either_kind() -> None:
    assert type(roots(Client("localhost:1"))) is TaskClient
    asking = roots(AsyncClient("localhost:1"))
    assert type(asking) is AsyncTaskClient
    assert (
        repr(asking) == "AsyncTaskClient('roots', AsyncModelClient('roots' at grpc://localhost:1))"
    )


@both
@pytest.mark.parametrize(("kind", "sizes"), [(RootsTask, [1] * 6), (Grouped, [4] * 4 + [2] * 2)])
def test_units_share_requests_as_the_task_says(run: Any, url: str, kind: Any, sizes: list[int]):
    squares = [float(n * n) for n in range(6)]
    found = run(url, lambda client: roots(client, kind).infer(squares, scale=2.0))
    assert found == [(2.0 * n, size) for n, size in enumerate(sizes)]


@both
def test_a_task_that_takes_one_unit_gives_one_result(run: Any, url: str):
    assert run(url, lambda client: roots(client, Single).infer(9.0)) == (3.0, 1)
    with pytest.raises(InvalidInput, match=r"^x\[0\] is -9; it must be at least 0$"):
        run(url, lambda client: roots(client, Single).infer(-9.0))


@both
@pytest.mark.parametrize("kind", [RootsTask, Grouped])
def test_a_unit_that_is_refused_fails_alone_and_is_named(run: Any, url: str, kind: Any):
    units = [1.0, 4.0, -9.0, 16.0, "25", 36.0]
    found = run(url, lambda client: every(roots(client, kind).try_many(units)))
    assert [answer[0] for answer in found if not isinstance(answer, NaiadError)] == [1, 2, 4, 6]
    assert str(found[2]) == "x[0] is -9; it must be at least 0"
    assert str(found[4]) == "x[0] is '25'; it must be a number"
    with pytest.raises(InvalidInput, match=r"^numbers\[2\] is -9; it must be at least 0$"):
        run(url, lambda client: roots(client, kind).infer(units))
    first, second, error = run(url, lambda client: every(roots(client, kind).infer_many(units)))
    assert (first[0], second[0]) == (1, 2)
    assert isinstance(error, InvalidInput)


def test_units_may_come_from_an_asynchronous_iterator(url: str):
    async def units() -> AsyncIterator[float]:
        for number in range(6):
            yield float(number * number)

    found = in_a_loop(url, lambda client: every(roots(client, Grouped).infer_many(units())))
    assert found == [(n, 4 if n < 4 else 2) for n in range(6)]


@both
def test_an_error_has_one_frame_of_naiad(run: Any, url: str):
    with pytest.raises(InvalidInput) as caught:
        run(url, lambda client: roots(client).infer([-9.0]))
    files = [
        entry.path for entry in caught.traceback if "naiad" in entry.frame.f_globals["__name__"]
    ]
    assert len(files) == 1


@both
def test_the_model_card_is_fetched_once(run: Any, url: str):
    def use(client: Any) -> Any:
        async def twice() -> Any:
            return await asking.card, await asking.card

        asking = roots(client)
        return twice() if run is in_a_loop else (asking.card, asking.card)

    first, second = run(url, use)
    assert first is second
    assert first == run(url, lambda client: client.model("roots").card())
    assert run(url, lambda client: roots(client).notice()) == ""


@both
def test_large_units_share_no_requests(run: Any, url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("naiad.tasks.requests._MOST_TOGETHER", 12)
    found = run(url, lambda client: roots(client, Grouped).infer([1.0] * 6))
    assert [size for _, size in found] == [1, 1, 1, 1, 2, 2]


@both
def test_a_server_that_is_gone_is_not_asked_for_each_unit_of_a_group(run: Any, url: str):
    asked: list[Any] = []

    class Gone(Grouped):
        def answer(self, unit: float, outputs: Mapping[str, Any], card: Any) -> tuple[float, int]:
            asked.append(unit)
            raise Unavailable("the server is gone")

    found = run(url, lambda client: every(roots(client, Gone).try_many([1.0, 4.0, 9.0])))
    assert [str(error) for error in found] == ["the server is gone"] * 3
    assert asked == [1.0]


@both
def test_options_that_only_reports_need_are_none_of_the_client(run: Any, url: str):
    assert run(url, lambda client: roots(client).infer([4.0], 3.0)) == [(6.0, 1)]
    with pytest.raises(InvalidInput, match="unknown option 'digits'; options: scale"):
        run(url, lambda client: roots(client).infer([4.0], digits=2))
    with pytest.raises(InvalidInput, match="2 options are given by position; there are 1: scale"):
        run(url, lambda client: roots(client).try_many([4.0], 3.0, 2))
    with pytest.raises(InvalidInput, match="numbers is one str; give a list of numbers"):
        run(url, lambda client: roots(client).infer("4"))
