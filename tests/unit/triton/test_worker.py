"""A worker prepares requests during ``forward`` if that pays, and answers each."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fuzz.tasks import Ask, ahead, answers, packed

from naiad import Budget, Pipeline, Tensor
from naiad.core.pipeline import Request
from naiad.core.settings import ServiceSettings
from naiad.errors import NaiadError
from naiad.runtime.preparer import Preparer
from naiad.runtime.runner import Runner
from naiad.runtime.shared import Arena
from naiad.runtime.spec import ServiceConfig, Spec
from naiad.runtime.wire import MORE, Wire
from naiad.runtime.worker import loaded
from naiad.triton.worker import pipeline_of, serve_ahead, threads_ahead

PATIENCE = 20.0


class Doubled(Pipeline):
    """A pipeline that doubles a number; ``forward`` ends when allowed."""

    inputs = {"n": Tensor("int64", ("requests",), maximum=100)}
    outputs = {"n": Tensor("int64", ("requests",))}
    sample = inputs
    arrays = "numpy"
    budget = Budget(requests=4)

    def setup(self, device: str) -> None:
        self.prepared: list[int] = []
        self.let, self.begun = threading.Semaphore(0), threading.Semaphore(0)

    def prepare(self, request: Request) -> dict[str, Any]:
        self.prepared.append(int(request["n"][0]))
        return {"n": request["n"]}

    def forward(self, batch: Any) -> dict[str, Any]:
        self.begun.release()
        assert self.let.acquire(timeout=PATIENCE)
        return {"n": 2 * batch["n"]}


class Front:
    """The other end of a worker's socket."""

    def __init__(self, connection: Connection, wire: Wire, free: int) -> None:
        self.inbox, self.outboxes = Arena(), (Arena(), Arena())
        self._connection, self._wire, self._free = connection, wire, free
        self._end = self._answers = 0

    def send(self, *numbers: int) -> int:
        """Send a task; return where its requests' bytes begin in the inbox."""
        start = self._end
        asked = [Ask.of({"n": np.array([n])}) for n in numbers]
        task, text = ahead(self._wire, asked, self.inbox, start)
        self._end = task[0]
        self._connection.send_bytes(packed(task, text))
        return start

    def hear(self) -> bytes:
        assert self._connection.poll(PATIENCE)
        return self._connection.recv_bytes()

    def answer(self) -> list[Any]:
        """Return the next answer, each a number or an error."""
        while (said := self.hear()) == MORE:
            pass
        found = answers(self._wire, said, self.outboxes[self._answers % 2])
        self._answers += 1
        return [
            one if isinstance(one, tuple) else struct.unpack("q", one["n"][1])[0] for one in found
        ]

    def read(self) -> None:
        os.eventfd_write(self._free, 1)


@pytest.fixture
def worker() -> Iterator[tuple[Front, Doubled]]:
    runner = Runner(Doubled())
    wire = Wire.of(Doubled, runner.contract)
    ours, theirs = Pipe()
    free = os.eventfd(2, os.EFD_SEMAPHORE)
    front = Front(ours, wire, free)
    rest = (front.inbox, front.outboxes, free, wire, Preparer(runner, 1))
    serving = threading.Thread(target=serve_ahead, args=(theirs, *rest), daemon=True)
    serving.start()
    assert isinstance(runner.pipeline, Doubled)
    yield front, runner.pipeline
    ours.close()
    serving.join(PATIENCE)
    assert not serving.is_alive()
    os.close(free)


def test_what_comes_while_forward_runs_is_prepared_and_runs_as_one_batch(
    worker: tuple[Front, Doubled],
) -> None:
    front, pipeline = worker
    front.send(1)
    assert front.hear() == MORE
    assert pipeline.begun.acquire(timeout=PATIENCE)
    for task in ((2, 3), (4,)):
        front.send(*task)
        assert front.hear() == MORE  # while 1 is in forward
    assert pipeline.prepared == [1, 2, 3, 4]
    pipeline.let.release(2)
    assert front.answer() == [2]
    assert front.answer() == [4, 6, 8]


def test_a_request_that_was_refused_before_it_ran_is_not_run(
    worker: tuple[Front, Doubled],
) -> None:
    front, pipeline = worker
    first = front.send(1)
    assert pipeline.begun.acquire(timeout=PATIENCE)
    second = front.send(2, 3)
    assert [front.hear(), front.hear()] == [MORE, MORE]
    memory = front.inbox.reserve(0)
    assert [memory[first], memory[second], memory[second + 1]] == [2, 0, 0]
    memory[second] = 1
    pipeline.let.release(2)
    assert front.answer() == [2]
    refused, answered = front.answer()
    assert refused[:2] == (4, "Unavailable")
    assert answered == 6
    assert memory[second + 1] == 2


def test_results_are_not_written_over_before_they_are_read(
    worker: tuple[Front, Doubled],
) -> None:
    front, pipeline = worker
    pipeline.let.release(9)
    for number in (1, 2):
        front.send(number)
        assert front.answer() == [2 * number]
    front.send(3)
    assert front.hear() == MORE
    assert pipeline.begun.acquire(timeout=PATIENCE)
    while front._connection.poll(0.2):
        assert front.hear() == MORE  # there is no outbox to write an answer to
    front.read()
    assert front.answer() == [6]


def test_what_cannot_be_read_is_refused_beside_the_others(worker: tuple[Front, Doubled]) -> None:
    front, pipeline = worker
    pipeline.let.release(9)
    front.send(1, 101, 2)
    found = front.answer()
    while len(found) < 3:
        found += front.answer()
    assert (found[0], found[2]) == (2, 4)
    assert found[1][:2] == (3, "InvalidInput")


def test_a_task_that_makes_no_sense_is_answered_with_errors(worker: tuple[Front, Doubled]) -> None:
    front, pipeline = worker
    pipeline.let.release(9)
    front._connection.send_bytes(packed([2**40, 2, 3, 1, 0], b""))
    assert [one[:2] for one in front.answer()] == [(1, "PipelineError")] * 2
    front.send(4)
    assert front.answer() == [8]


class Plain(Doubled):
    prepare = Pipeline.prepare


class Never(Doubled):
    prepare_threads = 0


class Many(Doubled):
    prepare_threads = 4


@pytest.mark.parametrize(
    ("pipeline", "settings", "cores", "threads"),
    [
        (Doubled, {}, 2, 1),
        (Doubled, {}, 1, 0),
        (Doubled, {"device": "cuda:0"}, 1, 1),
        (Doubled, {"threads": 4}, 4, 0),
        (Doubled, {"threads": 4, "device": "cuda:0"}, 4, 1),
        (Doubled, {"workers": 2, "device": "cuda:0"}, 16, 0),
        (Doubled, {"latency_target": 0.1}, 8, 0),
        (Doubled, {"max_queue_delay": 0.1}, 8, 0),
        (Plain, {"device": "cuda:0"}, 8, 0),
        (Never, {"device": "cuda:0"}, 8, 0),
        (Many, {"device": "cuda:0"}, 8, 4),
        (Many, {}, 3, 2),
    ],
)
def test_requests_are_prepared_ahead_only_where_that_pays(
    monkeypatch: pytest.MonkeyPatch,
    pipeline: type[Pipeline],
    settings: dict[str, Any],
    cores: int,
    threads: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    given = {"device": "cpu", "threads": 1, "workers": 1, "latency_target": None} | settings
    spec = Spec("p", None, given["device"], given["threads"], None)
    service = ServiceSettings(
        max_queue_delay=given.get("max_queue_delay"), latency_target=given["latency_target"]
    )
    config = ServiceConfig(spec, service, given["workers"])
    assert threads_ahead(pipeline, config) == threads


def test_a_file_that_cannot_be_imported_is_not_blamed_on_setup(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "pipeline.py").write_text("import no_such_module\n")
    parameters = {"naiad_pipeline": {"string_value": "pipeline.py:My"}}
    hello = {
        "config": {"parameters": parameters},
        "path": str(tmp_path),
        "version": 1,
        "workers": 1,
    }
    errors: list[NaiadError] = []
    assert loaded(lambda: pipeline_of(hello), errors.append) is None
    assert str(errors[0]).startswith("importing the model's file raised ModuleNotFoundError")
    assert "pipeline.py" in caplog.text
