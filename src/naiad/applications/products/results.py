"""What the network says of some products, and files of it: ``.csv``, ``.parquet``, ``.npz``."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import Arrays
from naiad.errors import MissingExtra, NaiadError, PipelineError

SUFFIXES: Final = (".csv", ".parquet", ".npz")


@dataclass(frozen=True, slots=True)
class Labels:
    """What the server says of its weights and of its graph.

    Attributes:
        categories: name of each column of the scores.
        products: how many the graph has.
        edges: of the graph, each direction counted.
        graph: where the graph comes from, in words.
        trained_on: the data, in words, or "".
        notice: what every user must know of the weights, or "".
        weights_sha256: which weights they are.
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
            raise PipelineError(f"the server's model is no products model: {error!r}") from error


@dataclass(frozen=True, eq=False)
class ProductsResult:
    """Categories and embeddings of some products.

    Attributes:
        product: the products' numbers: int64 ``[products]``.
        embeddings: after each hidden layer: float32 ``[products, layers, width]``.
        logits: scores before softmax: float32 ``[products, categories]``.
        probabilities: of each category: float32 ``[products, categories]``; rows sum to 1.
        neighbours: how many products each was bought with: int64 ``[products]``.
        labels: what the server says of its weights.
    """

    product: NDArray[np.int64]
    embeddings: NDArray[np.float32]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    labels: Labels

    @classmethod
    def of(cls, product: NDArray[np.int64], outputs: Arrays, labels: Labels) -> ProductsResult:
        """The result in a server's outputs."""
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
        """The ``k`` most probable categories of a product, by its row, with probabilities."""
        order = np.argsort(-self.probabilities[row], kind="stable")[:k]
        return [(self.labels.categories[c], float(self.probabilities[row, c])) for c in order]


def check_format(path: Path) -> None:
    """Make sure that a result can be written to a file of this name.

    Raises:
        NaiadError: the suffix names no format.
    """
    if path.suffix not in SUFFIXES:
        raise NaiadError(f"{path}: results are written as {', '.join(SUFFIXES)}")


def write_result(path: Path, result: ProductsResult) -> None:
    """Write a row per product; ``.npz`` has all arrays, the others the best category.

    Raises:
        NaiadError: see :func:`check_format`; or ``.parquet`` needs pyarrow, which is not there.
    """
    check_format(path)
    if path.suffix == ".npz":
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                product=result.product,
                embeddings=result.embeddings,
                logits=result.logits,
                probabilities=result.probabilities,
                neighbours=result.neighbours,
                categories=np.array(result.labels.categories, dtype=str),
                notice=np.array(result.labels.notice),
            )
        return
    names = [result.labels.categories[number] for number in result.category]
    columns = {
        "product": result.product.tolist(),
        "category": names,
        "confidence": [round(float(value), 6) for value in result.confidence],
        "neighbours": result.neighbours.tolist(),
    }
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("products", error.name or "pyarrow") from error
    pq.write_table(
        pa.table(columns).replace_schema_metadata({"notice": result.labels.notice}), path
    )
