"""Models whose answers depend on the requests in the same batch are found before they serve."""

import logging
from typing import Any

import numpy as np
import pytest

from naiad import Pipeline, Tensor
from naiad.errors import InvalidInput
from naiad.runtime import worker
from naiad.runtime.mixing import mixes
from naiad.runtime.runner import Runner
from naiad.runtime.spec import Spec

ROWS = {"x": Tensor("float32", ("rows",))}


class Plain(Pipeline):
    inputs = outputs = ROWS
    arrays = "numpy"

    def forward(self, batch: Any) -> dict[str, Any]:
        return {"x": batch["x"] * 2}


class Centred(Plain):
    """Subtracts the mean of all rows of a batch."""

    def forward(self, batch: Any) -> dict[str, Any]:
        return {"x": batch["x"] - batch["x"].mean()}


class PerRequest(Plain):
    """Subtracts the mean of each request."""

    def prepare(self, request: Any) -> dict[str, Any]:
        return {"x": request["x"] - request["x"].mean()}


class Picky(Plain):
    """Refuses all but requests of eight rows."""

    def prepare(self, request: Any) -> dict[str, Any]:
        if request.sizes["rows"] != 8:
            raise InvalidInput("eight rows are needed")
        return request.arrays


@pytest.mark.parametrize(
    ("kind", "found"), [(Plain, False), (PerRequest, False), (Picky, False), (Centred, True)]
)
def test_only_a_model_that_mixes_is_found(kind: type[Pipeline], found: bool) -> None:
    assert bool(mixes(Runner(kind()))) == found


def test_a_model_that_mixes_is_served_one_request_at_a_time(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        runner = worker.load(Spec("centred"), Centred)
    assert "centred is served one request at a time" in caplog.text
    assert dict(runner.contract.budget) == {"requests": 1}
    one, two = np.arange(3, dtype=np.float32), np.arange(8, dtype=np.float32)
    requests = [runner.contract.request({"x": x}, "", {}) for x in (one, two)]
    for outcome, x in zip(runner.run(requests).outcomes, (one, two), strict=True):
        assert isinstance(outcome, dict)
        np.testing.assert_array_equal(outcome["x"], x - x.mean())


@pytest.mark.parametrize("said", [True, False])
def test_a_class_may_say_itself_whether_it_merges(said: bool) -> None:
    kind = type("Said", (Centred,), {"merges": said})
    budget = worker.load(Spec("said"), kind).contract.budget
    assert (budget["requests"] == 1) != said
