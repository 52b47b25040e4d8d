"""The pipeline of the comparison."""

from __future__ import annotations

import naiad


class Echo(naiad.Pipeline):
    """Answers with what it is asked."""

    inputs = {"x": naiad.Tensor("float32", ("values",))}
    outputs = {"y": naiad.Tensor("float32", ("values",))}
    arrays = "numpy"

    def forward(self, batch):
        return {"y": batch["x"]}
