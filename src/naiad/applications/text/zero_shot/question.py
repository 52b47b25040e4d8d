"""A checked request: texts, labels and the sentences made of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from unicodedata import category

import numpy as np

from naiad.applications.text.embedding.texts import decode, encode
from naiad.applications.text.zero_shot.schema import PLACE
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})  # controls, formats and spaces


@dataclass(frozen=True, slots=True)
class Question:
    """Texts and the labels that may fit them.

    Attributes:
        texts: the texts, none empty.
        labels: the labels, all different.
        template: a sentence with ``{}`` for the label, or "" for the weights' own.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    template: str

    @classmethod
    def of(cls, request: Arrays) -> Question:
        """Read a request.

        Raises:
            InvalidInput: no text, no label, a repeated label, an empty text or label, or a template
                without a placeholder; says which.
        """
        texts = decode(request["text"], "text")
        labels = decode(request["labels"], "labels")
        (template,) = decode(request["hypothesis_template"], "hypothesis_template")
        if not texts:
            raise InvalidInput("text is empty; give at least one text")
        _refuse_empty(texts, "text")
        if not labels:
            raise InvalidInput("labels is empty; give at least one label")
        _refuse_empty(labels, "labels")
        _refuse_repeats(labels)
        if template and template.count(PLACE) != 1:
            raise InvalidInput(
                f"hypothesis_template is {template!r}; it must have one {PLACE}, where the label "
                "goes"
            )
        return cls(tuple(texts), tuple(labels), template)

    def hypotheses(self, template: str) -> list[str]:
        """Return a sentence for each label, by the request's template or else by ``template``."""
        return [(self.template or template).replace(PLACE, label) for label in self.labels]


def as_request(
    texts: Sequence[str],
    labels: Sequence[str],
    hypothesis_template: str = "",
    multi_label: bool = False,
) -> dict[str, Array]:
    """Return the tensors of a request."""
    return {
        "text": encode(texts, "text"),
        "labels": encode(labels, "labels"),
        "hypothesis_template": encode([hypothesis_template], "hypothesis_template"),
        "multi_label": np.array([multi_label]),
    }


def _refuse_empty(texts: Sequence[str], name: str) -> None:
    for number, text in enumerate(texts):
        if all(category(letter) in _INVISIBLE for letter in text):
            raise InvalidInput(f"{name}[{number}] is empty; it must have text")


def _refuse_repeats(labels: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for number, label in enumerate(labels):
        if label in first:
            raise InvalidInput(
                f"labels[{number}] is {label!r}, as is labels[{first[label]}]; labels must be "
                "different"
            )
        first[label] = number
