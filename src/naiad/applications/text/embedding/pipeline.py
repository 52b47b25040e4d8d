"""The models: from texts to vectors, and from token ids, which the workshop's clients send."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.text.embedding.card import EncoderCard
from naiad.applications.text.embedding.importing import served_folder
from naiad.applications.text.embedding.schema import (
    INPUTS,
    LENGTH,
    MAX_TEXTS,
    OUTPUTS,
    TOKEN_INPUTS,
    TOKEN_OUTPUTS,
)
from naiad.applications.text.embedding.texts import decode, encode
from naiad.card import read_card
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays, Tensor
from naiad.core.settings import RUNTIMES
from naiad.errors import InvalidInput


class EncoderPipeline(Pipeline):
    """Common part of the models of a sentence encoder."""

    inputs = INPUTS
    outputs = result = OUTPUTS
    limit = Budget(texts=MAX_TEXTS)
    arrays = "numpy"
    runtimes = RUNTIMES

    def __init__(self, weights: Path | None = None) -> None:
        """Use the encoder in the folder ``weights``, or the default one."""
        super().__init__(served_folder(weights))

    @cached_property
    def card(self) -> EncoderCard:
        """The encoder's card."""
        assert self.weights_path is not None
        return read_card(self.weights_path, EncoderCard)

    def metadata(self) -> Mapping[str, str]:
        """Return the encoder's name, sizes and notice."""
        card = self.card
        return {
            "notice": card.notice,
            "encoder": card.name,
            "dimension": str(card.dimension),
            "max_tokens": str(card.max_tokens),
            "precision": card.precision,
        }

    def setup(self, device: str) -> None:
        """Load the encoder."""
        from naiad.applications.text.embedding.encoder import Encoder

        assert self.weights_path is not None
        self.encoder = Encoder(self.weights_path, device, runtime=self.runtime)


class TextEmbedding(EncoderPipeline):
    """A vector for each text; texts of similar meaning have similar vectors."""

    name = "text_embedding"
    sample = {
        "ids": Tensor("int32", ("tokens",), doc="the tokens, one text behind the other"),
        "lengths": Tensor("int32", ("texts",), doc="tokens of each text"),
        "truncated": Tensor("bool", ("texts",)),
    }
    # The time of a batch grows with its tokens alone (see buckets): a larger one is not faster per
    # text and keeps others waiting.
    budget = Budget(texts=64, tokens=1024)

    def prepare(self, request: Request) -> Arrays:
        """Cut texts into tokens."""
        tokens = self.encoder.tokenize(decode(request["text"], "text"))
        return {"ids": tokens.ids, "lengths": tokens.lengths, "truncated": tokens.truncated}

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Compute the vectors of all texts of a batch."""
        embedding = self.encoder.embed(batch["ids"], batch["lengths"])
        return {"embedding": embedding, "truncated": batch["truncated"]}

    def example(self) -> dict[str, Array]:
        """Return two texts of similar meaning."""
        return {"text": encode(["a heist in space", "thieves rob a bank on the moon"], "text")}


class SentenceBert(EncoderPipeline):
    """A vector for each token of texts that the client has cut into tokens.

    This is the contract of ``sentence_bert`` in the workshop's notebooks. A client may average over
    all 256 positions, as they do: padding has vectors of 0, so the sum is that of the tokens, and a
    cosine does not depend on the scale.
    """

    name = "sentence_bert"
    inputs = sample = TOKEN_INPUTS
    outputs = result = TOKEN_OUTPUTS
    budget = Budget(texts=16)

    def prepare(self, request: Request) -> Arrays:
        """Refuse ids outside the encoder's vocabulary."""
        ids, size = request["input__0"], self.encoder.tokenize.vocabulary
        if ids.size and ids.max() >= size:
            row, place = np.unravel_index(int(ids.argmax()), ids.shape)
            raise InvalidInput(
                f"input__0[{row}, {place}] is {ids.max()}; it must be at most {size - 1}: "
                f"{self.card.name} has {size:,} tokens. Use its tokenizer"
            )
        return request.arrays

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Compute the vectors of all tokens."""
        return {"output__0": self.encoder.states(batch["input__0"], batch["input__1"])}

    def example(self) -> dict[str, Array]:
        """Return one text of four arbitrary tokens."""
        places = np.arange(LENGTH)[None]
        return {
            "input__0": np.where(places < 4, places, 0).astype(np.int32),
            "input__1": (places < 4).astype(np.int32),
        }


class Deepset(SentenceBert):
    """The same model, under its name in the workshop's notebook on zero-shot classification."""

    name = "deepset"
