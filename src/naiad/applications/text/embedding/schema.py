"""Inputs, outputs and limits of the sentence encoders."""

from __future__ import annotations

from typing import Final

from naiad.core.schema import BYTES, Schema, Tensor

MAX_TEXTS: Final = 128
"""Maximum number of texts in a request."""
MAX_BYTES: Final = 1 << 20
"""Maximum size of a text, in bytes of UTF-8."""
LENGTH: Final = 256
"""Tokens of each row under the workshop's contract."""

INPUTS: Final[Schema] = {
    "text": Tensor(BYTES, ("texts",), doc="UTF-8; of a long text the beginning is read"),
}

OUTPUTS: Final[Schema] = {
    "embedding": Tensor(
        "float32", ("texts", "dimension"), doc="a vector per text; of length 1 by default"
    ),
    "truncated": Tensor("bool", ("texts",), doc="whether the end of the text was not read"),
}

TOKEN_INPUTS: Final[Schema] = {
    "input__0": Tensor("int32", ("texts", LENGTH), minimum=0, doc="token ids"),
    "input__1": Tensor(
        "int32",
        ("texts", LENGTH),
        categories={0: "padding", 1: "token"},
        doc="which of them are tokens",
    ),
}

TOKEN_OUTPUTS: Final[Schema] = {
    "output__0": Tensor(
        "float32", ("texts", LENGTH, "dimension"), doc="a vector per token; 0 for padding"
    ),
}
