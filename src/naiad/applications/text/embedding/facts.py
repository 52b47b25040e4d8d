"""What is known of an encoder beside its numbers: ``weights.json`` in its folder.

::

    DIR/weights.json      the facts
    DIR/model.onnx        the network; or model.safetensors and config.json, run by transformers
    DIR/tokenizer.json    from texts to tokens
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypeVar

from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, facts_from_json, facts_to_json, read_facts

T = TypeVar("T")

Pooling: TypeAlias = Literal["mean", "cls", "max"]
Precision: TypeAlias = Literal["fp32", "int8"]

ONNX_FILE: Final = "model.onnx"
TORCH_FILE: Final = "model.safetensors"
TOKENIZER_FILE: Final = "tokenizer.json"
CONFIG_FILE: Final = "config.json"

_POOLINGS: Final = ("mean", "cls", "max")
_LONGEST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class EncoderFacts:
    """Everything about an encoder but its parameters and its tokenizer.

    Attributes:
        name: what it is called.
        file: the network's file in the folder.
        sha256: of that file.
        dimension: of its vectors.
        max_tokens: of one text, the first and the last, which it adds, included.
        pooling: how the vectors of tokens become that of the text.
        normalise: whether that is then scaled to length 1.
        precision: ``int8`` where the matrix products are computed so.
        notice: what every user must know of it.
        provenance: where it comes from, in free words.

    Raises:
        WeightsError: a value makes no sense; says which and what would.
    """

    name: str
    file: str
    sha256: str
    dimension: int
    max_tokens: int
    pooling: Pooling = "mean"
    normalise: bool = True
    precision: Precision = "fp32"
    notice: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        if self.file not in (ONNX_FILE, TORCH_FILE):
            raise WeightsError(f"file is {self.file!r}; it must be {ONNX_FILE} or {TORCH_FILE}")
        if self.pooling not in _POOLINGS:
            raise WeightsError(f"pooling is {self.pooling!r}; it must be {' or '.join(_POOLINGS)}")
        for name, value in (("dimension", self.dimension), ("max_tokens", self.max_tokens)):
            if type(value) is not int or not 1 <= value <= _LONGEST:
                raise WeightsError(f"{name} is {value!r}; it must be 1 to {_LONGEST}")

    def to_json(self) -> str:
        """The text of ``weights.json``."""
        return facts_to_json(asdict(self))

    @classmethod
    def read(cls, folder: Path) -> EncoderFacts:
        """The facts of a folder.

        Raises:
            WeightsError: it has none, or others.
        """
        return read_as(cls, folder, "a sentence encoder")


def read_as(kind: Callable[..., T], folder: Path, what: str) -> T:
    """The facts in a folder's ``weights.json``, made a ``kind``.

    Args:
        kind: takes the facts by name.
        folder: where they are.
        what: whose facts they must be, for the message.

    Raises:
        WeightsError: there are none, or others.
    """
    path = folder / FACTS_FILE
    try:
        return kind(**facts_from_json(read_facts(path)))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not the facts of {what} ({type(error).__name__}: {error})"
        ) from error
