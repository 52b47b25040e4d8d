"""The pipelines of the comparison: they answer with what they are asked."""

from __future__ import annotations

import naiad


class Echo(naiad.Pipeline):
    """In worker processes, as by default."""

    inputs = {"x": naiad.Tensor("float32", ("values",))}
    outputs = {"y": naiad.Tensor("float32", ("values",))}
    arrays = "numpy"

    def forward(self, batch):
        return {"y": batch["x"]}


class EchoThread(Echo):
    """In threads of Triton's stub process."""

    executor = "thread"
