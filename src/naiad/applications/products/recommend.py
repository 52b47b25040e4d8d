"""Recommendations for a basket of products, from embeddings and the graph.

A candidate's score is a mean, weighted by ``graph_weight``, of two numbers from 0 to 1:

- the cosine of its embedding with the basket's (the mean of its products' embeddings, each scaled
  to length 1), or 0 if negative or if it has no embedding yet;
- the overlap of its neighbourhood with the basket's: the number of products in both, over the
  geometric mean of their sizes (Salton's index; Lue and Zhou, arXiv:1010.0725). A product belongs
  to its own neighbourhood, so a direct purchase with the basket counts too.

Candidates are the nearest by cosine and those whose neighbourhoods overlap most, of all products
that may be recommended. One that scores 0 has nothing in common with the basket and is left out, so
a basket of products that were bought with nothing has no answer from the graph alone.

Embeddings, nearest products and categories come from a graph store. Neighbourhoods are counted on
the graph's own arrays, from which the store was filled, because all workers map one copy of them.
The store could count them from memory, but in a copy per worker and only up to 10 million pairs; a
graph of ogbn-products' size has 61 million, and the database itself takes many times as long
(benchmarks/products.py).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.products.graph import Ints, ProductGraph
from naiad.applications.products.picks import Recommendation
from naiad.applications.products.product_store import EMBEDDING, PRODUCT
from naiad.applications.store import Store
from naiad.applications.store.checks import MOST_ROWS
from naiad.errors import InvalidInput, StoreError

GRAPH_WEIGHT: Final = 0.5
"""Default weight of the graph against the embeddings."""
MAX_BASKET: Final = 32
MAX_PICKS: Final = 100

_CANDIDATES: Final = 5
"""Candidates from each side, per pick wanted."""


def recommend(
    store: Store,
    graph: ProductGraph,
    basket: Sequence[int],
    k: int,
    *,
    graph_weight: float = GRAPH_WEIGHT,
    unseen: bool = False,
) -> list[Recommendation]:
    """Return the ``k`` best products to go with a basket, excluding its own.

    Args:
        store: a store filled by :mod:`naiad.applications.products.product_store`.
        graph: the graph that the store was filled from.
        basket: the numbers of the basket's products.
        k: maximum number of picks.
        graph_weight: 0 for the embeddings alone, 1 for the graph alone.
        unseen: only products that were not bought with one of the basket.

    Raises:
        InvalidInput: the basket is empty or too large, or a product does not exist.
        StoreError: a product of the basket has no embedding yet, or the store cannot be read.
    """
    keys = np.unique(np.asarray(basket, np.int64))
    if not 1 <= len(keys) <= MAX_BASKET:
        raise InvalidInput(f"the basket has {len(keys)} products; it must have 1 to {MAX_BASKET}")
    graph.check_products(np.asarray(basket, np.int64), "product")
    query = _query(store, keys)
    near = overlaps(graph, keys)
    excluded = set(keys.tolist())
    if unseen:
        near = {key: overlap for key, overlap in near.items() if not overlap.bought_together}
        excluded.update(graph.neighbours(keys).tolist())
    cosines = _nearest(store, query, _CANDIDATES * k, excluded)
    candidates = {*cosines, *islice(near, _CANDIDATES * k)}
    others = store.vectors(PRODUCT, EMBEDDING, sorted(candidates - cosines.keys()))
    cosines |= {int(key): float(_unit(vector) @ query) for key, vector in others.items()}
    scores = {
        key: graph_weight * near.get(key, Overlap()).overlap
        + (1 - graph_weight) * max(0.0, cosines.get(key, 0.0))
        for key in candidates
    }
    best = sorted((key for key in scores if scores[key] > 0), key=lambda key: (-scores[key], key))
    best = best[:k]
    categories = [(record or {}).get("category") or "" for record in store.get(PRODUCT, best)]
    return [
        Recommendation(
            product=key,
            category=category,
            score=scores[key],
            cosine=cosines.get(key, 0.0),
            **asdict(near.get(key, Overlap())),
        )
        for key, category in zip(best, categories, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Overlap:
    """The overlap of a product's neighbourhood with a basket's.

    Attributes:
        overlap: Salton's index of the two, 0 to 1.
        shared: number of products outside the basket bought both with it and with the basket.
        bought_together: number of products in the basket that it was bought with.
    """

    overlap: float = 0.0
    shared: int = 0
    bought_together: int = 0


def overlaps(graph: ProductGraph, basket: Ints) -> dict[int, Overlap]:
    """Return all products outside the basket that overlap with it, the largest overlap first."""
    bought, times = np.unique(graph.neighbours(basket), return_counts=True)
    outside = ~np.isin(bought, basket)
    bought, times = bought[outside].astype(np.int64), times[outside]
    second, counts = np.unique(graph.neighbours(bought), return_counts=True)
    products = np.setdiff1d(np.union1d(bought, second), basket)
    direct, shared = np.zeros(len(products), np.int64), np.zeros(len(products), np.int64)
    direct[np.searchsorted(products, bought)] = times
    outside = ~np.isin(second, basket)
    shared[np.searchsorted(products, second[outside])] = counts[outside]
    # Products in both neighbourhoods: those shared, those of the basket that it was bought with
    # and, if there are any of the latter, the product itself.
    both = shared + direct + (direct > 0)
    around = len(bought) + len(basket)
    index = both / np.sqrt(around * (1.0 + graph.degrees(products)))
    order = np.argsort(-index, kind="stable")
    columns = (array[order].tolist() for array in (products, index, shared, direct))
    return {product: Overlap(*rest) for product, *rest in zip(*columns, strict=True)}


def _nearest(
    store: Store, query: NDArray[np.float32], number: int, excluded: Collection[int]
) -> dict[int, float]:
    """Return the cosines of the nearest products that are not ``excluded``.

    More are asked for and left out here: a condition is compared with every product, which took
    seven times as long with 5,000 excluded of 20,000.
    """
    hits = store.nearest(PRODUCT, EMBEDDING, query, min(number + len(excluded), MOST_ROWS))
    kept = (hit for hit in hits if hit.key not in excluded)
    return {int(hit.key): hit.score for hit in islice(kept, number)}


def _query(store: Store, keys: Ints) -> NDArray[np.float32]:
    """Return the mean direction of the basket's embeddings: float32 ``[width]``, of length 1."""
    vectors = store.vectors(PRODUCT, EMBEDDING, keys.tolist())
    for key in keys.tolist():
        if key not in vectors:
            left, products = len(store.missing(PRODUCT, EMBEDDING)), store.count(PRODUCT)
            raise StoreError(
                f"product {key} has no embedding yet; {products - left:,} of {products:,} have "
                "one: run `naiad products embed` for the others"
            )
    return _unit(np.mean([_unit(vector) for vector in vectors.values()], axis=0))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
