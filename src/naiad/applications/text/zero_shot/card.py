"""The card of a network for entailment.

Its folder has ``tokenizer.json`` and ``model.onnx``, or ``model.safetensors`` and ``config.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from naiad.applications.text.embedding.card import TextCard
from naiad.applications.text.zero_shot.schema import PLACE
from naiad.card import ModelCard, read_card
from naiad.errors import WeightsError

TASK: Final = "entailment"
TEMPLATE: Final = "This example is {}."
"""The default hypothesis of the zero-shot classification models on Hugging Face."""


class EntailmentCard(TextCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a network for entailment; ``max_tokens`` is of a text and a label together.

    Attributes:
        entailment: index of that class among its outputs.
        contradiction: index of that class.
        template: the hypothesis; the label replaces ``{}``.
        task: "entailment", which distinguishes the card from that of an encoder.

    Raises:
        WeightsError: a value is out of range; says which values are allowed.
    """

    entailment: int
    contradiction: int
    template: str = TEMPLATE
    task: str = TASK

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task != TASK:
            raise WeightsError(f"task is {self.task!r}; it must be {TASK}")
        if self.template.count(PLACE) != 1:
            raise WeightsError(f"template is {self.template!r}; it must have one {PLACE}")
        for name in ("entailment", "contradiction"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise WeightsError(f"{name} is {getattr(self, name)!r}; it must be 0 or more")


class _AnyCard(ModelCard, frozen=True, kw_only=True):
    task: Any = None


def is_entailment(folder: Path) -> bool:
    """Return whether the card in a folder is that of a network for entailment."""
    try:
        return read_card(folder, _AnyCard).task == TASK
    except WeightsError:
        return False  # reading an encoder's card then says what is wrong
