"""The task of ``text_embedding``, and the applications for clients that send token ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from naiad.application import Application
from naiad.applications.text.embedding.texts import encode
from naiad.core.schema import Arrays
from naiad.tasks.task import Column, Parses, Reports, Task

if TYPE_CHECKING:
    from naiad.applications.text.embedding.report import LikeTheFirst

_PACKAGES = ("tokenizers", "onnxruntime")


class TextEmbeddingTask(Task[str, NDArray[np.float32]], Parses[str], Reports):
    """Give texts vectors, and show which texts are like the first.

    In a .npy file the vectors are a row per text, in the order of the texts:
    float32, which `numpy.load` reads. A text that is refused has no row.

    [bold]Examples[/]

      naiad infer text_embedding "a heist in space" "robbers on a rocket" "a cookery book"
      naiad infer text_embedding -f descriptions.txt -o vectors.npy
    """

    name = "text_embedding"
    summary = "a vector per text, such that like texts have like vectors"
    pipeline = "naiad.applications.text.embedding.pipeline:TextEmbedding"
    packages = _PACKAGES
    on_request = True

    unit, example = "texts", '"a heist in space" "robbers on a rocket"'
    columns = (Column("text", fill="unit", doc="the text"),)
    formats = {".npy": "naiad.applications.text.embedding.vectors:VectorFile"}
    # Several workers share the work, and no answer takes long.
    listed, group, grouped, concurrency = True, 32, ("text",), 4
    clients = (
        "naiad.applications.text.embedding.client:TextEmbeddingClient",
        "naiad.applications.text.embedding.aio:AsyncTextEmbeddingClient",
    )

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Arrays]:
        """Yield requests for texts of common words, one each."""
        from naiad.applications.text.embedding.simulate import simulated_texts

        return cls().sample_requests(simulated_texts(number, seed))

    def columns_of(self, card: Mapping[str, str], options: Any) -> tuple[Column, ...]:
        """Return a column for each number of a vector."""
        numbers = range(int(card.get("dimension", 0)))
        return (*self.columns, *(Column(f"vector_{n}", "float32") for n in numbers))

    def parse(self, text: str) -> str:
        """Return a text as it was typed."""
        return text

    def request(self, unit: str, options: Any) -> Arrays:
        """Return a request for one text."""
        return {"text": encode([unit], "text")}

    def answer(self, unit: str, outputs: Arrays, card: Any) -> NDArray[np.float32]:
        """Return the vector of one text, float32 ``[dimension]``."""
        return outputs["embedding"][0]

    def rows(self, result: NDArray[np.float32]) -> Iterator[Sequence[object]]:
        """Yield the one row of a text."""
        yield result.tolist()

    def report(self, count: int, card: Any, options: Any) -> LikeTheFirst:
        """Return a report of the texts that are like the first."""
        from naiad.applications.text.embedding.report import LikeTheFirst

        return LikeTheFirst()


class SentenceBertApplication(Application):
    """The encoder with the wire contract of the workshop's notebooks."""

    name = "sentence_bert"
    summary = "the same encoder for clients that send token ids"
    pipeline = "naiad.applications.text.embedding.pipeline:SentenceBert"
    packages = _PACKAGES
    on_request = True


class DeepsetApplication(Application):
    """The same, under its name in the notebook on zero-shot classification."""

    name = "deepset"
    summary = "the same encoder for clients that send token ids, under another name"
    pipeline = "naiad.applications.text.embedding.pipeline:Deepset"
    packages = _PACKAGES
    on_request = True
