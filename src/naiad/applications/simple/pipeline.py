"""The ``simple`` pipeline, which Triton's example clients can call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Tensor


class Simple(Pipeline):
    """The sum and difference of two rows of 16 integers, which wrap around as in C."""

    inputs = {
        "INPUT0": Tensor("int32", ("rows", 16), doc="minuend"),
        "INPUT1": Tensor("int32", ("rows", 16), doc="subtrahend"),
    }
    outputs = {
        "OUTPUT0": Tensor("int32", ("rows", 16), doc="INPUT0 + INPUT1"),
        "OUTPUT1": Tensor("int32", ("rows", 16), doc="INPUT0 - INPUT1"),
    }
    max_batch_size = 8
    budget = Budget(rows=1024)
    arrays = "numpy"

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Add and subtract."""
        a, b = batch["INPUT0"], batch["INPUT1"]
        return {"OUTPUT0": a + b, "OUTPUT1": a - b}
