"""What is bought together with a basket of products, by embeddings and by the graph.

A candidate's score is a mean of two numbers from 0 to 1, by ``graph_weight``:

- the cosine of its embedding with the basket's (the mean of its products' embeddings, each scaled
  to length 1), where it is positive;
- how far its neighbourhood in the graph is the basket's: the products in both, over the geometric
  mean of their sizes (Salton's index; Lue and Zhou, arXiv:1010.0725). A product counts to its own
  neighbourhood, so that a direct purchase with the basket counts too.

Candidates are the nearest by cosine, and those whose neighbourhoods overlap most.

Embeddings, the nearest and categories come from a graph store. Neighbourhoods are counted on the
graph's own arrays, which the store was filled from: all workers map one copy of them, however large
the graph. The store counts them from memory too, but in a copy per worker and up to 10 million
pairs; a graph of ogbn-products' size has 61 million, and the database itself takes many times as
long (benchmarks/products.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.products.graph import Ints, ProductGraph
from naiad.applications.products.picks import Recommendation
from naiad.applications.products.product_store import EMBEDDING, PRODUCT
from naiad.applications.store import Store
from naiad.errors import InvalidInput, StoreError

GRAPH_WEIGHT: Final = 0.5
"""How much the graph counts, against the embeddings, unless a request says otherwise."""
MAX_BASKET: Final = 32
MAX_PICKS: Final = 100

_CANDIDATES: Final = 5
"""Times as many candidates from either side as picks are wanted."""


def recommend(
    store: Store,
    graph: ProductGraph,
    basket: Sequence[int],
    k: int,
    *,
    graph_weight: float = GRAPH_WEIGHT,
    unseen: bool = False,
) -> list[Recommendation]:
    """The ``k`` best products to go with a basket, none of it among them.

    Args:
        store: as :mod:`naiad.applications.products.product_store` fills it.
        graph: what the store was filled with.
        basket: numbers of its products.
        k: how many are wanted; there may be fewer.
        graph_weight: 0 for the embeddings alone, 1 for the graph alone.
        unseen: leave out what was bought together with one of the basket before.

    Raises:
        InvalidInput: the basket is empty or too large, or a number is no product's.
        StoreError: a product of the basket has no embedding yet, or the store cannot be read.
    """
    keys = np.unique(np.asarray(basket, np.int64))
    if not 1 <= len(keys) <= MAX_BASKET:
        raise InvalidInput(f"the basket has {len(keys)} products; it must have 1 to {MAX_BASKET}")
    graph.check_products(np.asarray(basket, np.int64), "product")
    query = _query(store, keys)
    near = overlaps(graph, keys)
    where = {"id": ("not in", keys.tolist())}
    hits = store.nearest(PRODUCT, EMBEDDING, query, _CANDIDATES * k, where=where)
    cosines = {int(hit.key): hit.score for hit in hits}
    candidates = {*cosines, *islice(near, _CANDIDATES * k)}
    if unseen:
        candidates = {key for key in candidates if not near.get(key, Overlap()).bought_together}
    others = store.vectors(PRODUCT, EMBEDDING, sorted(candidates - cosines.keys()))
    cosines |= {int(key): float(_unit(vector) @ query) for key, vector in others.items()}
    scores = {
        key: graph_weight * near.get(key, Overlap()).overlap
        + (1 - graph_weight) * max(0.0, cosines[key])
        for key in candidates & cosines.keys()
    }
    best = sorted(scores, key=lambda key: (-scores[key], key))[:k]
    categories = [(record or {}).get("category") or "" for record in store.get(PRODUCT, best)]
    return [
        Recommendation(
            product=key,
            category=category,
            score=scores[key],
            cosine=cosines[key],
            **asdict(near.get(key, Overlap())),
        )
        for key, category in zip(best, categories, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How a product's neighbourhood overlaps with that of a basket.

    Attributes:
        overlap: Salton's index of the two, 0 to 1.
        shared: how many products, none of the basket, were bought with it and with the basket.
        bought_together: with how many of the basket it was bought.
    """

    overlap: float = 0.0
    shared: int = 0
    bought_together: int = 0


def overlaps(graph: ProductGraph, basket: Ints) -> dict[int, Overlap]:
    """All products, none of the basket, whose neighbourhoods overlap with its; the most first."""
    bought, times = np.unique(graph.neighbours(basket), return_counts=True)
    outside = ~np.isin(bought, basket)
    bought, times = bought[outside].astype(np.int64), times[outside]
    second, counts = np.unique(graph.neighbours(bought), return_counts=True)
    products = np.setdiff1d(np.union1d(bought, second), basket)
    direct, shared = np.zeros(len(products), np.int64), np.zeros(len(products), np.int64)
    direct[np.searchsorted(products, bought)] = times
    outside = ~np.isin(second, basket)
    shared[np.searchsorted(products, second[outside])] = counts[outside]
    # In both neighbourhoods: what is shared, those of the basket that it was bought with and, where
    # there are such, itself.
    both = shared + direct + (direct > 0)
    around = len(bought) + len(basket)
    index = both / np.sqrt(around * (1.0 + graph.degrees(products)))
    order = np.argsort(-index, kind="stable")
    columns = (array[order].tolist() for array in (products, index, shared, direct))
    return {product: Overlap(*rest) for product, *rest in zip(*columns, strict=True)}


def _query(store: Store, keys: Ints) -> NDArray[np.float32]:
    """The direction of the mean of the basket's embeddings: float32 ``[width]``, of length 1."""
    vectors = store.vectors(PRODUCT, EMBEDDING, keys.tolist())
    for key in keys.tolist():
        if key not in vectors:
            left, products = len(store.missing(PRODUCT, EMBEDDING)), store.count(PRODUCT)
            raise StoreError(
                f"product {key} has no embedding yet; {products - left:,} of {products:,} have "
                "one, and `naiad products embed` goes on with the others"
            )
    return _unit(np.mean([_unit(vector) for vector in vectors.values()], axis=0))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
