"""The pipeline of the comparison."""

from __future__ import annotations

import naiad


class Echo(naiad.Pipeline):
    """A pipeline that returns its input."""

    inputs = {"x": naiad.Tensor("float32", ("values",))}
    outputs = {"y": naiad.Tensor("float32", ("values",))}
    arrays = "numpy"

    def forward(self, batch):
        return {"y": batch["x"]}
