import signal
import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.core.budget import Budget
from naiad.core.pipeline import Pipeline, Request, load_pipeline
from naiad.core.schema import Tensor
from naiad.errors import InvalidInput, PipelineError
from naiad.runtime.runner import Runner


@pytest.fixture(scope="module")
def load(pipelines):
    return lambda name: Runner(load_pipeline(f"{pipelines}:{name}")())


@pytest.fixture(scope="module")
def degree(load):
    return load("Degree")


@given(nodes=st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_batched_answers_equal_one_by_one_answers(degree, make_request, nodes):
    requests = [make_request(n, code=i + 1, seed=i) for i, n in enumerate(nodes)]
    together = degree.run(requests).outcomes
    for request, outcome in zip(requests, together, strict=True):
        (alone,) = degree.run([request]).outcomes
        for name in ("degree", "total"):
            np.testing.assert_array_equal(outcome[name], alone[name])
        expected = np.bincount(request["edge_index"][1], minlength=len(request["x"]))
        np.testing.assert_array_equal(outcome["degree"], expected)


def test_batches_stay_within_the_budget(degree, make_request):
    report = degree.run([make_request(40, seed=i) for i in range(6)])
    assert [batch["nodes"] for batch in report.batches] == [80, 80, 80]


class Unfolded(Pipeline):
    """Makes many numbers of one, and remembers what it was asked to do."""

    inputs: ClassVar = {"n": Tensor("int64", ("requests",))}
    sample: ClassVar = {"x": Tensor("float32", ("requests", 100), counts="numbers")}
    outputs: ClassVar = {"sum": Tensor("float32", ("requests",))}
    budget = Budget(requests=12, numbers=250)

    def setup(self, device):
        self.done = ""

    def prepare(self, request):
        self.done += "p"
        return {"x": np.full((1, 100), request["n"][0], np.float32)}

    def forward(self, batch):
        self.done += f"f{batch.requests}"
        return {"sum": batch["x"].sum(1)}


def test_no_more_is_prepared_than_a_batch_may_hold():
    runner = Runner(Unfolded())
    requests = [Request({"n": np.array([n])}, {"requests": 1}) for n in range(5)]
    found = [outcome["sum"].item() for outcome in runner.run(requests).outcomes]
    assert found == [0, 100, 200, 300, 400]
    assert runner.pipeline.done == "pppf2ppf2f1"


def test_one_bad_request_fails_alone(degree, make_request):
    requests = [make_request(3, code=666 if i == 5 else i, seed=i) for i in range(9)]
    outcomes = degree.run(requests).outcomes
    bad = outcomes.pop(5)
    assert isinstance(bad, PipelineError)
    assert "Degree.forward() raised ValueError: the number of the beast" in str(bad)
    assert all(not isinstance(outcome, Exception) for outcome in outcomes)


def test_out_of_memory_makes_this_batch_and_later_ones_smaller(pipelines, make_request):
    pipeline = load_pipeline(f"{pipelines}:Starved")()
    pipeline.seen = []
    runner = Runner(pipeline)
    requests = [make_request(8, code=n, seed=n) for n in range(10)]
    outcomes = runner.run(requests).outcomes
    assert [o["total"][0] for o in outcomes] == list(range(10))
    assert pipeline.seen == [80, 40, 16, 16, 8, 40, 16, 16, 8]
    pipeline.seen.clear()
    runner.run(requests)
    assert pipeline.seen == [16, 16, 16, 16, 16]


def test_one_request_too_large_for_the_memory_gets_the_error_alone(pipelines, make_request):
    runner = Runner(load_pipeline(f"{pipelines}:Starved")())
    small, large, also_small = runner.run(
        [make_request(3, 1), make_request(40, 2), make_request(3, 5)]
    ).outcomes
    assert small["total"][0] == 1
    assert "Starved.forward() raised MemoryError: 40 nodes" in str(large)
    assert also_small["total"][0] == 5


def test_an_ordinary_error_leaves_the_budget_as_it_is(load, make_request):
    runner = load("Degree")
    requests = [make_request(10, code=666 if n == 0 else n, seed=n) for n in range(10)]
    runner.run(requests)
    report = runner.run(requests[1:])
    assert [batch["requests"] for batch in report.batches] == [9]


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (1, PipelineError, "Trouble.prepare() raised KeyError"),
        (2, InvalidInput, "it must be kind"),
        (5, PipelineError, "prepare() returned an invalid result: x is float64"),
        (17, PipelineError, "Trouble.finish() raised RuntimeError: finish"),
        (18, PipelineError, "finish() returned an invalid result: tensor 'total' is missing"),
    ],
)
def test_a_hook_that_fails_fails_only_its_request(load, make_request, code, kind, message):
    runner = load("Trouble")
    good, bad, also_good = runner.run(
        [make_request(3, 0), make_request(3, code), make_request(2, 9)]
    ).outcomes
    assert isinstance(bad, kind)
    assert message in str(bad)
    assert good["total"][0] == 0
    assert also_good["total"][0] == 9


def test_an_undeclared_result_is_an_error(load, make_request):
    (outcome,) = load("Extra").run([make_request()]).outcomes
    assert isinstance(outcome, PipelineError)
    assert "surprise" in str(outcome)


def test_a_pipeline_without_torch_gets_numpy_arrays(load):
    from naiad.core.pipeline import Request
    from naiad.core.schema import measure

    runner = load("Bytes")
    arrays = {"text": np.array([b"abc", b"\x00\x01\x00"], dtype=object)}
    (outcome,) = runner.run([Request(arrays, measure(runner.pipeline.inputs, arrays))]).outcomes
    assert outcome["reversed"].tolist() == [b"cba", b"\x00\x01\x00"]
    assert outcome["length"].tolist() == [3, 3]


def test_stages_are_timed(degree, make_request):
    seconds = degree.run([make_request()]).seconds
    assert set(seconds) == {"prepare", "collate", "forward", "split", "finish"}
    assert all(value > 0 for value in seconds.values())


def test_each_request_of_a_list_spends_the_time_of_all(load, make_request, monkeypatch):
    degree = load("Degree")
    forward = degree.pipeline.forward

    def slow(batch):
        time.sleep(0.01)
        return forward(batch)

    monkeypatch.setattr(degree.pipeline, "forward", slow)
    report = degree.run([make_request(40, seed=i) for i in range(4)])
    assert len(report.batches) == 2
    assert report.seconds["forward"] >= 4 * 2 * 0.01


class Marked(Pipeline):
    """Does ``deed`` where a number is 1."""

    inputs: ClassVar = {"n": Tensor("int64", ("requests",))}
    outputs: ClassVar = {"n": inputs["n"]}
    arrays = "numpy"

    def __init__(self, deed):
        super().__init__()
        self.deed = deed

    def forward(self, batch):
        return self.deed() if (batch["n"] == 1).any() else {"n": batch["n"]}


def raising(error):
    def deed():
        raise error

    return deed


class Nameless(type):
    @property
    def __name__(cls):
        raise RuntimeError("no name")


@pytest.mark.parametrize(
    ("deed", "message"),
    [
        (raising(SystemExit(3)), "forward() raised SystemExit: 3"),
        (raising(ValueError("caf\udce9")), r"forward() raised ValueError: caf\udce9"),
        (raising(Nameless("Odd", (Exception,), {})()), "forward() raised Odd"),
        (lambda: None, "forward() returned a NoneType; it must be a mapping"),
        (dict, "forward() returned no n"),
        (lambda: {"n": [1]}, "forward() returned n as list, which is not an array"),
        (lambda: {"n": np.zeros(3)}, "forward() returned n as float64 [3]; it must be int64"),
        (lambda: {3: np.zeros(1)}, "forward() returned 3, not declared in result"),
    ],
)
def test_whatever_forward_does_its_neighbours_are_answered(deed, message):
    requests = [Request({"n": np.array([n])}, {"requests": 1}) for n in range(3)]
    first, guilty, last = Runner(Marked(deed)).run(requests).outcomes
    assert isinstance(guilty, PipelineError)
    assert message in str(guilty)
    assert (first["n"][0], last["n"][0]) == (0, 2)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as at a terminal; where the tests run in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_not_taken_for_an_error_of_a_hook():
    request = Request({"n": np.array([1])}, {"requests": 1})
    with pytest.raises(KeyboardInterrupt):
        Runner(Marked(raising(KeyboardInterrupt()))).run([request])
