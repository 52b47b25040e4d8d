"""Sentence vectors for people: texts in, an array out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from naiad.applications.text.embedding.texts import encode
from naiad.client import ModelClient
from naiad.client.ordered_map import ask_many
from naiad.errors import NaiadError

_TEXTS = 32
"""Of one request: so that several workers share the work, and one answer is not long in coming."""


class TextEmbeddingClient:
    """Asks a served ``text_embedding``; from ``client.text_embedding``.

    Example::

        with naiad.Client("localhost:8001") as client:
            vectors = client.text_embedding.embed(["a heist in space", "a bank robbery"])
            print(vectors @ vectors.T)
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"TextEmbeddingClient({self.model!r})"

    def parameter(self, name: str) -> str:
        """What the server says of the encoder: ``encoder``, ``dimension``, ``max_tokens``,
        ``precision`` or ``notice``; "" for what it does not say.
        """
        parameters = self.model.config().get("parameters", {})
        return str(parameters.get(name, {}).get("string_value", ""))

    def embed(
        self,
        texts: Sequence[str],
        *,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
    ) -> NDArray[np.float32]:
        """A vector per text, float32 ``[texts, dimension]``, in their order.

        Any number of texts may be given: they are sent a few at a time. Of a long text only the
        beginning is read, see ``max_tokens`` of :meth:`parameter`.

        Args:
            texts: the texts; an empty one has a vector too, that of nothing.
            concurrency: requests with the server at once.
            progress: show a progress bar on standard error.
            timeout: seconds per request, instead of the client's.

        Raises:
            InvalidInput: a text cannot be sent or is too long; says which.
            NaiadError: as of `naiad.Client`.
        """
        tensor = encode(texts, "text")
        if not len(tensor):
            return np.zeros((0, int(self.parameter("dimension"))), np.float32)
        parts = [tensor[start : start + _TEXTS] for start in range(0, len(tensor), _TEXTS)]
        answers = ask_many(
            lambda part: self.model.infer(text=part, timeout=timeout)["embedding"],
            parts,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error="raise",
        )
        return np.concatenate([a for a in answers if not isinstance(a, NaiadError)])
