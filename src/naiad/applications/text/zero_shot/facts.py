"""What is known of a network for entailment beside its numbers: ``weights.json`` in its folder.

The folder has ``tokenizer.json`` and ``model.onnx``, or ``model.safetensors`` and ``config.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from naiad.applications.text.embedding.facts import ONNX_FILE, TORCH_FILE, read_as
from naiad.applications.text.zero_shot.schema import PLACE
from naiad.errors import WeightsError
from naiad.weights import FACTS_FILE, facts_from_json, facts_to_json, read_facts

TASK: Final = "entailment"
TEMPLATE: Final = "This example is {}."
"""The hypothesis that the models for zero-shot classification on Hugging Face are asked with."""


@dataclass(frozen=True, slots=True)
class EntailmentFacts:
    """Everything about a network for entailment but its parameters and its tokenizer.

    Attributes:
        name: what it is called.
        file: the network's file in the folder.
        sha256: of that file.
        max_tokens: of a text with a label.
        entailment: the place of that class among its outputs.
        contradiction: the place of that one.
        template: the hypothesis made of a label, which takes the place of ``{}``.
        notice: what every user must know of it.
        provenance: where it comes from, in free words.
        task: "entailment", which tells these facts from those of an encoder.

    Raises:
        WeightsError: a value makes no sense; says which and what would.
    """

    name: str
    file: str
    sha256: str
    max_tokens: int
    entailment: int
    contradiction: int
    template: str = TEMPLATE
    notice: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    task: str = TASK

    def __post_init__(self) -> None:
        if self.task != TASK:
            raise WeightsError(f"task is {self.task!r}; it must be {TASK}")
        if self.file not in (ONNX_FILE, TORCH_FILE):
            raise WeightsError(f"file is {self.file!r}; it must be {ONNX_FILE} or {TORCH_FILE}")
        if self.template.count(PLACE) != 1:
            raise WeightsError(f"template is {self.template!r}; it must have one {PLACE}")
        for name in ("entailment", "contradiction"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise WeightsError(f"{name} is {getattr(self, name)!r}; it must be 0 or more")

    def to_json(self) -> str:
        """The text of ``weights.json``."""
        return facts_to_json(asdict(self))

    @classmethod
    def read(cls, folder: Path) -> EntailmentFacts:
        """The facts of a folder.

        Raises:
            WeightsError: it has none, or others.
        """
        return read_as(cls, folder, "a network for entailment")


def is_entailment(folder: Path) -> bool:
    """Whether a folder says that its network is for entailment."""
    try:
        return facts_from_json(read_facts(folder / FACTS_FILE)).get("task") == TASK
    except (AttributeError, KeyError, TypeError, ValueError, WeightsError):
        return False  # whoever reads the facts of an encoder then says what is wrong
