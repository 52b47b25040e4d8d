"""A worker's libraries follow the number of threads that each batch may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tests.fuzz.tasks import Ask, answers, numbers_of, packed

from naiad import Pipeline, Tensor
from naiad.core.pipeline import Request
from naiad.core.settings import Runtime, ServiceSettings
from naiad.errors import NaiadError
from naiad.networks import threads
from naiad.networks.opening import open_module
from naiad.runtime.merging import Merger
from naiad.runtime.preparer import Item
from naiad.runtime.shared import Arena
from naiad.runtime.spec import ServiceConfig, Spec
from naiad.runtime.wire import Wire
from naiad.runtime.worker import load
from naiad.triton.worker import answer, most_threads, run_items


class Counts(Pipeline):
    """A pipeline that reports torch's number of threads, and that of its own library."""

    inputs = {"x": Tensor("int64", ("requests",))}
    outputs = {"torch": inputs["x"], "own": inputs["x"]}

    def setup(self, device: str) -> None:
        self.own = 0
        threads.follow(self.set_own)

    def set_own(self, number: int) -> None:
        self.own = number

    def forward(self, batch: Any) -> dict[str, Any]:
        numbers = {"torch": torch.get_num_threads(), "own": self.own}
        return {name: torch.full_like(batch["x"], number) for name, number in numbers.items()}


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in which nothing follows yet."""
    before = torch.get_num_threads()
    monkeypatch.setattr(threads, "_number", 1)
    monkeypatch.setattr(threads, "_followers", [])
    yield
    torch.set_num_threads(before)


def test_torch_and_the_pipelines_own_library_get_the_threads_of_each_batch() -> None:
    runner = load(Spec("p"), Counts)
    inbox, outbox, wire = Arena(), Arena(), Wire.of(Counts)
    for number in (1, 2, 2, 1):
        numbers, text = numbers_of(wire, [Ask.of({"x": np.zeros(1, np.int64)})], inbox)
        numbers[3] = number
        said = answer(packed(numbers, text), inbox, outbox, wire, runner, Merger.of(runner))
        (found,) = answers(wire, said, outbox)
        assert {name: int.from_bytes(data, "little") for name, (_, data) in found.items()} == {
            "torch": number,
            "own": number,
        }
        assert threads.current() == number


def test_a_batch_prepared_ahead_gets_the_fewest_threads_of_its_requests() -> None:
    runner = load(Spec("p"), Counts)
    for numbers, least in (((4, 2), 2), ((3,), 3)):
        items = [Item(request_of(), lambda: True, number) for number in numbers]
        for item in items:
            assert not isinstance(item.request, NaiadError)
            item.made = runner.prepare(item.request)
        for found in run_items(items, runner).outcomes:
            assert isinstance(found, dict)
            assert (found["torch"], found["own"]) == (least, least)


def request_of() -> Request:
    return Counts.contract().request({"x": np.zeros(1, np.int64)}, "", {})


def test_a_follower_hears_only_of_changes() -> None:
    heard: list[int] = []
    threads.use(3)
    for _ in range(2):
        threads.follow(heard.append)
    threads.use(3)
    threads.use(1)
    assert heard == [3, 3, 1]


@pytest.mark.parametrize("runtime", get_args(Runtime))
def test_a_network_follows_and_what_it_was_made_from_does_not(runtime: Runtime) -> None:
    tried = [[np.ones((rows, 8), np.float32)] for rows in (2, 3)]
    open_module(torch.nn.Linear(8, 3), tried, runtime=runtime)
    assert len(threads._followers) == 1
    assert (torch.set_num_threads in threads._followers) == (runtime == "torch")


@pytest.mark.parametrize(
    ("settings", "device", "beside", "followed", "most"),
    [
        ({}, "cpu", 0, True, 8),
        ({}, "cpu", 0, False, 1),  # NumPy, say
        ({}, "cpu", 2, True, 6),
        ({}, "cpu", 8, True, 1),
        ({}, "cuda:0", 0, True, 1),
        ({"threads": 1}, "cpu", 0, True, 1),
        ({"threads": 3}, "cpu", 0, True, 3),
    ],
)
def test_a_batch_may_have_more_threads_where_something_uses_them(
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    device: str,
    beside: int,
    followed: bool,
    most: int,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    if followed:
        threads.follow(lambda _: None)
    service = ServiceSettings(**settings)
    config = ServiceConfig(Spec("p", device=device, threads=service.threads or 1), service)
    assert most_threads(config, beside) == most
