"""What the graph attention network receives and answers.

The wire names and types are those of the public GAT-on-Triton example, so its clients work
unchanged; ``NAME__INDEX`` is how Triton's PyTorch backend numbers the arguments of a model.
"""

from __future__ import annotations

from typing import Final

from naiad.core.schema import Tensor

FEATURES: Final = 1433
"""Words of Cora's vocabulary: columns of ``x__0``."""

CLASSES: Final = 7
"""Topics: columns of ``logits__0``."""

INPUTS: Final = {
    "x__0": Tensor(
        "float32",
        ("nodes", FEATURES),
        doc="which words a paper has; scaled to sum to 1 where the weights were trained so",
    ),
    "edgeindex__1": Tensor(
        "int64",
        (2, "edges"),
        index_into="nodes",
        doc="citations, from row 0 to row 1; each in both directions where the weights were "
        "trained so",
    ),
}

OUTPUTS: Final = {
    "logits__0": Tensor(
        "float32", ("nodes", CLASSES), doc="score of each paper for each topic, before softmax"
    ),
}
