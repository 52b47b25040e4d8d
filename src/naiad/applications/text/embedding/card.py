"""The folder of a sentence encoder, and its card.

::

    DIR/weights.json      the card
    DIR/model.onnx        the network; or model.safetensors and config.json, run by transformers
    DIR/tokenizer.json    from texts to tokens
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from naiad.card import ModelCard
from naiad.errors import WeightsError

Pooling: TypeAlias = Literal["mean", "cls", "max"]
Precision: TypeAlias = Literal["fp32", "int8"]

ONNX_FILE: Final = "model.onnx"
TORCH_FILE: Final = "model.safetensors"
TOKENIZER_FILE: Final = "tokenizer.json"
CONFIG_FILE: Final = "config.json"

_POOLINGS: Final = ("mean", "cls", "max")
_LONGEST: Final = 1 << 16


class TextCard(ModelCard, frozen=True, kw_only=True):
    """The fields that the cards of networks for texts share.

    Attributes:
        name: of the network.
        file: the network's file in the folder.
        max_tokens: maximum length of an input, with the first and last token, which it adds.

    Raises:
        WeightsError: the file's name is unknown.
    """

    name: str
    file: str
    max_tokens: int

    def __post_init__(self) -> None:
        if self.file not in (ONNX_FILE, TORCH_FILE):
            raise WeightsError(f"file is {self.file!r}; it must be {ONNX_FILE} or {TORCH_FILE}")


class EncoderCard(TextCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of an encoder.

    Attributes:
        dimension: of its vectors.
        pooling: of the vectors of tokens into that of the text.
        normalise: whether the vector is then scaled to length 1.
        precision: ``int8`` where the matrix products are computed in 8 bits.

    Raises:
        WeightsError: a value is out of range; says which values are allowed.
    """

    dimension: int
    pooling: Pooling = "mean"
    normalise: bool = True
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling not in _POOLINGS:
            raise WeightsError(f"pooling is {self.pooling!r}; it must be {' or '.join(_POOLINGS)}")
        for name, value in (("dimension", self.dimension), ("max_tokens", self.max_tokens)):
            if type(value) is not int or not 1 <= value <= _LONGEST:
                raise WeightsError(f"{name} is {value!r}; it must be 1 to {_LONGEST}")
