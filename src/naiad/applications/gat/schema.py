"""The inputs and outputs of the graph attention network.

The wire names and types are those of the public GAT-on-Triton example, so its clients work
unchanged; with ``NAME__INDEX`` Triton's PyTorch backend numbers a model's arguments.
"""

from __future__ import annotations

from typing import Final

from naiad.core.schema import Tensor

FEATURES: Final = 1433
"""Size of Cora's vocabulary: columns of ``x__0``."""

CLASSES: Final = 7
"""Number of topics: columns of ``logits__0``."""

INPUTS: Final = {
    "x__0": Tensor(
        "float32",
        ("nodes", FEATURES),
        doc="words of each paper; scaled to sum to 1 if the weights were trained so",
    ),
    "edgeindex__1": Tensor(
        "int64",
        (2, "edges"),
        index_into="nodes",
        doc="citations, from row 0 to row 1; in both directions if the weights were trained so",
    ),
}

OUTPUTS: Final = {
    "logits__0": Tensor(
        "float32", ("nodes", CLASSES), doc="score of each paper for each topic, before softmax"
    ),
}
