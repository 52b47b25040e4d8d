"""Inputs, outputs and limits of the ``zero_shot`` model."""

from __future__ import annotations

from typing import Final

from naiad.core.schema import BYTES, REQUESTS, Schema, Tensor

MAX_LABELS: Final = 1000
"""Maximum number of labels in a request."""
MAX_PAIRS: Final = 1000
"""Maximum pairs of text and label in a request to a network for entailment, which reads each."""
SIMILARITY: Final = "similarity"
"""Method of a sentence encoder, in the model's metadata."""
PLACE: Final = "{}"
"""Placeholder of the label in a hypothesis template."""

INPUTS: Final[Schema] = {
    "text": Tensor(BYTES, ("texts",), doc="UTF-8; of a long text the beginning is read"),
    "labels": Tensor(BYTES, ("labels",), doc="UTF-8, all different"),
    "hypothesis_template": Tensor(
        BYTES,
        (REQUESTS,),
        optional=True,
        default=b"",
        doc="a sentence with {} for the label; where it is left out, the weights' own",
    ),
    "multi_label": Tensor(
        "bool",
        (REQUESTS,),
        optional=True,
        default=False,
        doc="several labels may fit, or none: each is scored by itself",
    ),
}

OUTPUTS: Final[Schema] = {
    "scores": Tensor("float32", ("texts", "labels"), doc="0 to 1; over labels 1, if one fits"),
    "truncated": Tensor("bool", ("texts",), doc="whether the end of the text was not read"),
    "unread": Tensor(
        "float32",
        ("texts",),
        doc="share of its letters that the network has no tokens for, or only one by one, as of a "
        "language that it does not read",
    ),
}
