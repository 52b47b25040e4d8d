"""A co-purchase graph as a folder of arrays that worker processes share as memory maps.

::

    graph.json        source, names of the categories; written last
    indptr.npy        where each product's neighbours begin: int64 [products + 1]
    indices.npy       the neighbours of all products, product by product: int32 [edges]
    features.npy      float16 or float32 [products, features]
    category.npy      int16 [products], -1: unknown
    train.npy, validation.npy, test.npy      int64: the products of each split

Each edge is stored once in each direction; no edge leads from a product to itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from naiad.errors import InvalidInput, MissingExtra
from naiad.typed_json import decode

Ints = NDArray[np.int64]

FACTS_FILE: Final = "graph.json"
FORMAT: Final = 1
_SPLIT: Final = ("train", "validation", "test")
_ARRAYS: Final = ("indptr", "indices", "features", "category", *_SPLIT)
_LARGEST_FACTS: Final = 1 << 20
_BLOCK: Final = 1 << 24  # numbers checked at a time


def _none() -> Ints:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ProductGraph:
    """Products, the products each was bought with and, if known, their categories.

    Attributes:
        source: the origin of the graph, in words.
        indptr: where each product's neighbours begin: int64 ``[products + 1]``.
        indices: neighbours of all products: int32 ``[edges]``.
        features: float16 or float32 ``[products, features]``.
        categories: the categories' names, if any.
        category: the category of each product, -1 if unknown: int16 ``[products]``.
        train: products to train on: int64.
        validation: products to choose the best epoch by: int64.
        test: products to test on: int64.

    Raises:
        InvalidInput: the arrays do not fit each other.
    """

    source: str
    indptr: Ints
    indices: NDArray[np.int32]
    features: NDArray[Any]
    categories: tuple[str, ...] = ()
    category: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    train: Ints = field(default_factory=_none)
    validation: Ints = field(default_factory=_none)
    test: Ints = field(default_factory=_none)

    def __post_init__(self) -> None:
        kinds = {"indptr": ("int64",), "indices": ("int32",), "features": ("float16", "float32")}
        kinds |= {"category": ("int16",)} | dict.fromkeys(_SPLIT, ("int64",))
        for name, allowed in kinds.items():
            array: NDArray[Any] = getattr(self, name)
            if array.dtype.name not in allowed or array.ndim != (2 if name == "features" else 1):
                raise InvalidInput(
                    f"{name} is {array.dtype} {list(array.shape)}; it must be "
                    f"{' or '.join(allowed)}, of {2 if name == 'features' else 1} dimensions"
                )
        products = len(self)
        if self.indptr.shape != (products + 1,):
            raise InvalidInput(
                f"indptr has {len(self.indptr):,} numbers; it must have {products + 1:,}, one more "
                "than there are products"
            )
        if self.indptr[0] != 0 or self.indptr[-1] != len(self.indices):
            raise InvalidInput(
                f"indptr goes from {self.indptr[0]} to {self.indptr[-1]:,}; it must go from 0 to "
                f"the {len(self.indices):,} indices"
            )
        if (np.diff(self.indptr) < 0).any():
            raise InvalidInput("indptr decreases; it must increase from product to product")
        if self.category.shape not in ((products,), (0,)):
            raise InvalidInput(f"category has {len(self.category):,} rows; there are {products:,}")
        _check_range("indices", self.indices, 0, products)
        _check_range("category", self.category, -1, len(self.categories))
        for name in _SPLIT:
            _check_range(name, getattr(self, name), 0, products)

    def __len__(self) -> int:
        return len(self.features)

    @property
    def edges(self) -> int:
        """Number of edges, counting both directions."""
        return len(self.indices)

    def degrees(self, products: Ints | None = None) -> Ints:
        """Return the number of neighbours of some products, or of all: int64."""
        if products is None:
            return np.diff(self.indptr)
        return self.indptr[products + 1] - self.indptr[products]

    def neighbours(self, products: Ints) -> NDArray[np.int32]:
        """Return the neighbours of some products, product by product: int32."""
        degrees = self.degrees(products)
        ends = np.cumsum(degrees)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - degrees, degrees)
        return self.indices[np.repeat(self.indptr[products], degrees) + within]

    def check_products(self, products: Ints, name: str) -> None:
        """Refuse numbers that are not products.

        Raises:
            InvalidInput: a number is out of range.
        """
        wrong = np.flatnonzero((products < 0) | (products >= len(self)))
        if wrong.size:
            there = f"0 to {len(self) - 1}" if len(self) else "absent"
            raise InvalidInput(
                f"{name}[{wrong[0]}] is {products[wrong[0]]}; it must be {there}: the graph has "
                f"{len(self):,} products"
            )


def graph_of_pairs(
    pairs: NDArray[Any], products: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the arrays ``indptr`` and ``indices`` of a graph.

    Args:
        pairs: products bought together, in either direction, possibly repeated: integers
            ``[2, pairs]``.
        products: number of products.

    Raises:
        InvalidInput: a pair has a number that is not a product.
    """
    try:
        from scipy.sparse import coo_array
    except ImportError as error:
        raise MissingExtra("products", error.name or "scipy") from error
    for row in pairs:
        _check_range("a pair", row, 0, products)
    kept = pairs[:, pairs[0] != pairs[1]].astype(np.int32, copy=False)
    there = np.ones(kept.shape[1], np.bool_)
    # Booleans, because repeated pairs are summed: small integers could overflow to 0.
    one_way = coo_array((there, (kept[0], kept[1])), shape=(products, products)).tocsr()
    both: Any = (one_way + one_way.T.tocsr()).tocsr()
    both.sort_indices()
    return both.indptr.astype(np.int64), both.indices.astype(np.int32)


def write_graph(folder: Path, graph: ProductGraph) -> None:
    """Write a graph to a folder, which is created if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS_FILE).unlink(missing_ok=True)
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(graph, name), allow_pickle=False)
    write_facts(folder, graph.source, graph.categories)


def write_facts(folder: Path, source: str, categories: tuple[str, ...]) -> None:
    """Write ``graph.json``, which completes the folder of a graph."""
    facts = {"format": FORMAT, "source": source, "categories": list(categories)}
    (folder / FACTS_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def open_graph(folder: Path) -> ProductGraph:
    """Open the graph in a folder; its arrays are memory-mapped and checked once.

    Raises:
        InvalidInput: the graph is missing, incomplete or damaged.
    """
    facts = _read_facts(folder)
    arrays: dict[str, NDArray[Any]] = {}
    for name in _ARRAYS:
        path = folder / f"{name}.npy"
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError, TypeError) as error:
            raise InvalidInput(f"{path} cannot be read ({error}); write the graph again") from error
    try:
        return ProductGraph(source=facts.source, categories=facts.categories, **arrays)
    except InvalidInput as error:
        raise InvalidInput(f"{folder}: {error}") from None


class _Facts(msgspec.Struct):
    source: str
    categories: tuple[str, ...]


def _read_facts(folder: Path) -> _Facts:
    path = folder / FACTS_FILE
    if not folder.is_dir():
        raise InvalidInput(
            f"{folder}: no such folder; `naiad simulate products -o {folder.name}` makes a graph"
        )
    if not path.is_file():
        begun = any((folder / f"{name}.npy").exists() for name in _ARRAYS)
        why = "the graph is incomplete; write it again" if begun else "it is not a graph"
        raise InvalidInput(f"{folder} has no {FACTS_FILE}: {why}")
    try:
        if path.stat().st_size > _LARGEST_FACTS:
            raise ValueError("too large")
        return decode(path.read_text(encoding="utf-8"), _Facts, version=FORMAT)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} does not describe a graph: {error}") from error


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(array), _BLOCK):
        yield array[start : start + _BLOCK]


def _check_range(name: str, array: NDArray[Any], low: int, end: int) -> None:
    for block in _blocks(array):
        least, most = int(block.min()), int(block.max())
        if least < low or most >= end:
            wrong = least if least < low else most
            raise InvalidInput(f"{name} has a {wrong}; it must be {low} to {end - 1}")
