"""Categories and embeddings of products, as results and as files of arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import Arrays
from naiad.errors import PipelineError
from naiad.tasks.notebook import Shown


@dataclass(frozen=True, slots=True)
class Labels:
    """The model card of ``products``: facts about its weights and graph.

    Attributes:
        categories: the name of each column of the scores.
        products: number of products in the graph.
        edges: number of edges in the graph, counting both directions.
        graph: the origin of the graph, in words.
        trained_on: the training data, in words, or "".
        notice: a notice to users of the weights, or "".
        weights_sha256: the hash of the weights.
    """

    categories: tuple[str, ...]
    products: int
    edges: int
    graph: str = ""
    trained_on: str = ""
    notice: str = ""
    weights_sha256: str = ""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Labels:
        """Read the parameters of a model's configuration.

        Raises:
            PipelineError: they are not those of a ``products`` model.
        """
        try:
            return cls(
                categories=tuple(str(name) for name in json.loads(parameters["categories"])),
                products=int(parameters["products"]),
                edges=int(parameters["edges"]),
                graph=parameters.get("graph", ""),
                trained_on=parameters.get("trained_on", ""),
                notice=parameters.get("notice", ""),
                weights_sha256=parameters.get("weights_sha256", ""),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PipelineError(f"the server's model is not a products model: {error!r}") from error


@dataclass(frozen=True, eq=False, repr=False)
class ProductsResult(Shown):
    """Categories and embeddings of some products.

    Attributes:
        product: the products' numbers: int64 ``[products]``.
        embeddings: embeddings after each hidden layer: float32 ``[products, layers, width]``.
        logits: scores before softmax: float32 ``[products, categories]``.
        probabilities: float32 ``[products, categories]``; rows sum to 1.
        neighbours: number of products each was bought with: int64 ``[products]``.
        labels: the model card.
    """

    product: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    labels: Labels

    @classmethod
    def of(cls, product: NDArray[np.int64], outputs: Arrays, labels: Labels) -> ProductsResult:
        """Build the result from a server's outputs."""
        return cls(product, labels=labels, **outputs)

    def __len__(self) -> int:
        return len(self.product)

    @cached_property
    def category(self) -> NDArray[np.int64]:
        """The most probable category of each product: int64 ``[products]``."""
        return self.probabilities.argmax(axis=1).astype(np.int64)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of each product's category: float32 ``[products]``."""
        return self.probabilities.max(axis=1, initial=0)

    def top(self, row: int, k: int = 3) -> list[tuple[str, float]]:
        """Return the ``k`` most probable categories in a row, with probabilities."""
        order = np.argsort(-self.probabilities[row], kind="stable")[:k]
        return [(self.labels.categories[c], float(self.probabilities[row, c])) for c in order]


def join(results: Sequence[ProductsResult]) -> ProductsResult:
    """Join several results of one model."""
    names = ("product", "embeddings", "logits", "probabilities", "neighbours")
    arrays = {name: np.concatenate([getattr(one, name) for one in results]) for name in names}
    return ProductsResult(**arrays, labels=results[0].labels)


class ArraysWriter:
    """A :class:`~naiad.tasks.task.Writer` of .npz files with all arrays of all products."""

    def __init__(self, task: Any, path: Path, card: Labels) -> None:
        self._path, self._card = path, card
        self._results: list[ProductsResult] = []
        self.written = 0

    def add(self, name: str, unit: Any, result: ProductsResult) -> None:
        """Keep a result."""
        self._results.append(result)

    def close(self) -> None:
        """Write the file."""
        results, self._results = self._results, []
        if not results:
            return
        whole = join(results)
        with self._path.open("wb") as file:
            np.savez_compressed(
                file,
                product=whole.product,
                embeddings=whole.embeddings,
                logits=whole.logits,
                probabilities=whole.probabilities,
                neighbours=whole.neighbours,
                categories=np.array(self._card.categories, dtype=str),
                notice=np.array(self._card.notice),
            )
        self.written = len(results)
