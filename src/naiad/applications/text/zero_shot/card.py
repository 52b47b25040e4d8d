"""The cards of a network for entailment and of a GLiClass network.

Their folders have ``tokenizer.json`` and ``model.onnx``, or ``model.safetensors`` and
``config.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from naiad.applications.text.embedding.card import EncoderCard, TextCard
from naiad.applications.text.zero_shot.schema import PLACE, SIMILARITY
from naiad.card import ModelCard, read_card
from naiad.errors import WeightsError

TASK: Final = "entailment"
GLICLASS: Final = "gliclass"
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


class GliclassCard(TextCard, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Description of a GLiClass network; ``max_tokens`` is of a text and all labels together.

    Attributes:
        task: "gliclass", which distinguishes the card from the others.

    Raises:
        WeightsError: the task is another.
    """

    task: str = GLICLASS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task != GLICLASS:
            raise WeightsError(f"task is {self.task!r}; it must be {GLICLASS}")


class _AnyCard(ModelCard, frozen=True, kw_only=True):
    task: Any = None


def method_of(folder: Path) -> str:
    """Return the way of classifying by the card in a folder: one of `CARDS`."""
    try:
        task = read_card(folder, _AnyCard).task
    except WeightsError:
        return SIMILARITY  # reading an encoder's card then says what is wrong
    return task if task in CARDS else SIMILARITY


CARDS: Final[Mapping[str, type[TextCard]]] = {
    SIMILARITY: EncoderCard,
    TASK: EntailmentCard,
    GLICLASS: GliclassCard,
}
"""The kind of card by the way of classifying."""
