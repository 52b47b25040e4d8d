"""The ``zero_shot`` model: texts and labels in, scores out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.text.embedding.importing import served_folder
from naiad.applications.text.embedding.schema import MAX_TEXTS
from naiad.applications.text.embedding.texts import encode
from naiad.applications.text.zero_shot.card import CARDS, method_of
from naiad.applications.text.zero_shot.question import Question
from naiad.applications.text.zero_shot.schema import INPUTS, MAX_LABELS, OUTPUTS
from naiad.card import read_card
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import REQUESTS, Array, Arrays, Tensor
from naiad.core.settings import RUNTIMES


class ZeroShot(Pipeline):
    """Scores of labels for texts, by a network that was not trained on the labels."""

    name = "zero_shot"
    inputs = INPUTS
    sample = {
        "ids": Tensor("int32", ("tokens",), doc="one sequence behind the other"),
        "kinds": Tensor("int32", ("tokens",), doc="1: of a label that is read with a text"),
        "lengths": Tensor("int32", ("sequences",), doc="tokens of each sequence"),
        "truncated": Tensor("bool", ("texts",)),
        "unread": Tensor("float32", ("texts",)),
        "vectors": Tensor("float32", ("labels", "width"), doc="of the labels"),
        "multi_label": Tensor("bool", (REQUESTS,)),
    }
    result = {
        "numbers": Tensor("float32", ("sequences", "size"), doc="of each sequence"),
        "truncated": sample["truncated"],
        "unread": sample["unread"],
        "vectors": Tensor("float32", ("labels", "dimension"), doc="of the labels"),
        "multi_label": sample["multi_label"],
    }
    outputs = OUTPUTS
    budget = Budget(texts=64, tokens=1024)  # as text_embedding
    limit = Budget(texts=MAX_TEXTS, labels=MAX_LABELS)
    arrays = "numpy"
    runtimes = RUNTIMES

    def __init__(self, weights: Path | None = None) -> None:
        """Use the network in the folder ``weights``, or the default encoder."""
        super().__init__(served_folder(weights))

    def metadata(self) -> Mapping[str, str]:
        """Return the network's name, method, length and notice."""
        folder = self.weights_path
        assert folder is not None
        method = method_of(folder)
        card = read_card(folder, CARDS[method])
        return {
            "notice": card.notice,
            "network": card.name,
            "method": method,
            "max_tokens": str(card.max_tokens),
        }

    def setup(self, device: str) -> None:
        """Load the network."""
        from naiad.applications.text.zero_shot.classifier import open_classifier

        assert self.weights_path is not None
        self._classifier = open_classifier(self.weights_path, device, runtime=self.runtime)

    def prepare(self, request: Request) -> Arrays:
        """Cut texts, and labels if they are read too, into tokens."""
        question = Question.of(request)
        tokenize = self._classifier.tokenize
        tokenize.refuse_empty(question.labels, "labels")
        unread = tokenize.letters_unread(question.texts, "text")
        reading = self._classifier.read(question)
        tokens = reading.tokens
        # A text is truncated if any of its sequences is.
        truncated = tokens.truncated.reshape(len(question.texts), -1)
        return {
            "ids": tokens.ids,
            "kinds": tokens.kinds,
            "lengths": tokens.lengths,
            "truncated": np.asarray(truncated.any(axis=1)),
            "unread": unread,
            "vectors": reading.vectors,
            "multi_label": request["multi_label"],
        }

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Run the network on the sequences of all questions."""
        numbers = self._classifier.run(batch["ids"], batch["kinds"], batch["lengths"])
        return {"numbers": numbers} | {
            name: batch[name] for name in ("truncated", "unread", "vectors", "multi_label")
        }

    def finish(self, result: Arrays) -> Arrays:
        """Return the scores of one question."""
        scores = self._classifier.score(
            result["numbers"], result["vectors"], bool(result["multi_label"][0])
        )
        return {
            "scores": scores.astype(np.float32),
            **{name: result[name] for name in ("truncated", "unread")},
        }

    def example(self) -> dict[str, Array]:
        """Return one text and three labels."""
        return {
            "text": encode(["Jupiter's Biggest Moons Started as Tiny Grains of Hail"], "text"),
            "labels": encode(["business", "space and science", "politics"], "labels"),
        }
