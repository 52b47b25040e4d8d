"""A model with a tensor of each datatype, for the generated C++ header."""

from __future__ import annotations

from naiad import Pipeline, Tensor
from naiad.core.schema import TRITON_NAMES


class EveryType(Pipeline):
    """Answers what it is sent."""

    inputs = {
        **{dtype: Tensor(dtype, ("rows",)) for dtype in TRITON_NAMES},
        "table": Tensor("float32", ("rows", 2)),
        "a/b name": Tensor("int32", (3,)),
        "extra": Tensor("int32", ("others",), optional=True, default=7),
    }
    outputs = {
        **{dtype: tensor for dtype, tensor in inputs.items() if dtype != "extra"},
        "extra": Tensor("int32", ("others",)),
    }
    sample = inputs
    arrays = "numpy"

    def forward(self, batch):
        """Give each input back."""
        return {name: batch[name] for name in self.outputs}
