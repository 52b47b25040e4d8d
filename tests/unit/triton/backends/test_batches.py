import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naiad.errors import NaiadError, PipelineError
from naiad.triton.backends.batches import run_requests


class Recorder:
    """Doubles x, and refuses a batch that holds a negative number; counts its rows."""

    def __init__(self):
        self.rows = []

    def __call__(self, arrays):
        self.rows.append(len(arrays["x"]))
        if (arrays["x"] < 0).any():
            raise ValueError("negative")
        return {"y": 2 * arrays["x"]}


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([2, 3])), min_size=1, max_size=8))
def test_every_request_gets_its_own_rows_back(shapes):
    rng = np.random.default_rng(0)
    requests = [{"x": rng.random(shape)} for shape in shapes]
    model = Recorder()
    for request, outcome in zip(requests, run_requests(model, requests, batched=True), strict=True):
        assert np.array_equal(outcome["y"], 2 * request["x"])
    assert len(model.rows) == len({columns for _, columns in shapes}), "one run per shape"


def test_without_a_batch_dimension_each_runs_by_itself():
    model = Recorder()
    run_requests(model, [{"x": np.ones(3)}, {"x": np.ones(3)}], batched=False)
    assert model.rows == [3, 3]


def test_one_bad_request_does_not_fail_the_others():
    requests = [{"x": np.full((1, 2), value)} for value in (1.0, -1.0, 3.0)]
    good, bad, other = run_requests(Recorder(), requests, batched=True)
    assert isinstance(bad, PipelineError)
    assert "negative" in str(bad)
    assert not isinstance(good, NaiadError)
    assert not isinstance(other, NaiadError)
    assert other["y"].tolist() == [[6.0, 6.0]]


@pytest.mark.parametrize("output", [np.float32(3), np.ones(1)])
def test_an_output_that_has_no_row_per_request_is_not_cut(output):
    runs = []

    def model(arrays):
        runs.append(len(arrays["x"]))
        return {"y": np.asarray(output)}

    outcomes = run_requests(model, [{"x": np.ones((2, 1))}] * 2, batched=True)
    assert [o["y"].tolist() for o in outcomes] == [output.tolist()] * 2
    assert runs == [4, 2, 2]
