"""The models: texts in, vectors out; and token ids in, as the workshop's clients send them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.text.embedding.facts import EncoderFacts
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
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays, Tensor
from naiad.errors import InvalidInput


class EncoderPipeline(Pipeline):
    """What all models of a sentence encoder have in common."""

    inputs = INPUTS
    outputs = result = OUTPUTS
    limit = Budget(texts=MAX_TEXTS)
    arrays = "numpy"

    def __init__(self, weights: Path | None = None) -> None:
        """Use the encoder in the folder ``weights``, or the default one."""
        super().__init__(served_folder(weights))

    @cached_property
    def facts(self) -> EncoderFacts:
        """What is known of the encoder."""
        assert self.weights_path is not None
        return EncoderFacts.read(self.weights_path)

    def metadata(self) -> Mapping[str, str]:
        """The encoder's name, its sizes and its notice."""
        facts = self.facts
        return {
            "notice": facts.notice,
            "encoder": facts.name,
            "dimension": str(facts.dimension),
            "max_tokens": str(facts.max_tokens),
            "precision": facts.precision,
        }

    def setup(self, device: str) -> None:
        """Load the encoder."""
        from naiad.applications.text.embedding.encoder import Encoder

        assert self.weights_path is not None
        self.encoder = Encoder(self.weights_path, device)


class TextEmbedding(EncoderPipeline):
    """A vector for each of some texts, such that texts of like meaning have like vectors."""

    name = "text_embedding"
    sample = {
        "ids": Tensor("int32", ("tokens",), doc="the tokens, one text behind the other"),
        "lengths": Tensor("int32", ("texts",), doc="tokens of each text"),
        "truncated": Tensor("bool", ("texts",)),
    }
    # What a batch takes grows with its tokens alone (see buckets), so more in one are not faster;
    # they would keep others waiting.
    budget = Budget(texts=64, tokens=1024)

    def prepare(self, request: Request) -> Arrays:
        """Cut texts into tokens."""
        tokens = self.encoder.tokenize(decode(request["text"], "text"))
        return {"ids": tokens.ids, "lengths": tokens.lengths, "truncated": tokens.truncated}

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """The vectors of all texts of a batch."""
        embedding = self.encoder.embed(batch["ids"], batch["lengths"])
        return {"embedding": embedding, "truncated": batch["truncated"]}

    def example(self) -> dict[str, Array]:
        """Two texts of like meaning."""
        return {"text": encode(["a heist in space", "thieves rob a bank on the moon"], "text")}


class SentenceBert(EncoderPipeline):
    """A vector for each token of some texts that their client has cut into tokens.

    The contract of the model that the workshop's notebooks call ``sentence_bert``. A client may
    average over all 256 places, as they do: those of padding are 0, so the sum is of tokens alone,
    and a cosine does not ask for the scale.
    """

    name = "sentence_bert"
    inputs = sample = TOKEN_INPUTS
    outputs = result = TOKEN_OUTPUTS
    budget = Budget(texts=16)

    def prepare(self, request: Request) -> Arrays:
        """Refuse ids that the encoder's tokenizer does not have."""
        ids, size = request["input__0"], self.encoder.tokenize.vocabulary
        if ids.size and ids.max() >= size:
            row, place = np.unravel_index(int(ids.argmax()), ids.shape)
            raise InvalidInput(
                f"input__0[{row}, {place}] is {ids.max()}; it must be at most {size - 1}: "
                f"{self.facts.name} has {size:,} tokens. Use its tokenizer"
            )
        return request.arrays

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """The vectors of all tokens."""
        return {"output__0": self.encoder.states(batch["input__0"], batch["input__1"])}

    def example(self) -> dict[str, Array]:
        """One text of four tokens, whatever they are."""
        places = np.arange(LENGTH)[None]
        return {
            "input__0": np.where(places < 4, places, 0).astype(np.int32),
            "input__1": (places < 4).astype(np.int32),
        }


class Deepset(SentenceBert):
    """The same model under the name that the workshop's notebook on zero-shot has for it."""

    name = "deepset"
