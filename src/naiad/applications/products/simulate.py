"""A synthetic co-purchase graph: products in 47 categories, bought together within niches.

A degree-corrected stochastic block model (Karrer and Newman, arXiv:1008.3926) at two scales:
categories, whose sizes follow a power law, are divided into niches, and a product is bought with
products of its own niche, of its own category and of any, in fixed shares. Each product's expected
number of neighbours is log-normal. Features are sums of a category's, a niche's and a product's
part, with variances that fall from first to last, as after a principal component analysis.

The shares are chosen so that the mean degree and the share of edges within a category are near
those of ogbn-products (Hu et al., arXiv:2005.00687: 50.5 neighbours per product; 0.81 of the
edges). No product or category means anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.products.graph import Ints, ProductGraph, graph_of_pairs
from naiad.core.schema import Array
from naiad.errors import InvalidInput

CATEGORIES: Final = tuple(f"synthetic category {number}" for number in range(1, 48))
SOURCE: Final = "a synthetic co-purchase graph"
FEATURES: Final = 100

# A category has the same features in every graph, so that weights can be reused.
_FEATURES_SEED: Final = 47
_NEIGHBOURS: Final = 50.5  # mean per product
_SPREAD: Final = 1.15  # standard deviation of the logarithm of the expected degree
_NICHE: Final = 150  # mean number of products
_SAME_NICHE: Final = 0.5  # share of the pairs
_SAME_CATEGORY: Final = 0.33  # share of the pairs, not counting those of a niche
_DRAWN: Final = 1.18  # pairs drawn per pair kept: others are repeated, or have one product twice
_LARGEST: Final = 3_000_000
_CHUNK: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Shelf:
    """Products before they are shuffled, ordered by category and niche.

    Attributes:
        category: the category of each product: int16.
        niche: the niche of each product, numbered across categories: int32.
        weight: cumulative share of all pairs' ends: float64; ends at 1.
    """

    category: NDArray[np.int16]
    niche: NDArray[np.int32]
    weight: NDArray[np.float64]


def simulate(products: int, seed: int = 0) -> ProductGraph:
    """Make a graph with a number of products; the same ``seed`` gives the same graph.

    As in ogbn-products, the best-selling 8 % are for training, the next 2 % for validation and the
    rest for testing; here the best-selling products are those with most neighbours.

    Raises:
        InvalidInput: ``products`` or ``seed`` is out of range.
    """
    if not 1 <= products <= _LARGEST:
        raise InvalidInput(f"products is {products:,}; it must be 1 to {_LARGEST:,}")
    if seed < 0:
        raise InvalidInput(f"seed is {seed}; it must be 0 or more")
    rng = np.random.default_rng(seed)
    shelf = stock(rng, products)
    order = rng.permutation(products).astype(np.int32)
    pairs = np.concatenate(list(bought_together(rng, shelf, order)), axis=1)
    indptr, indices = graph_of_pairs(pairs, products)
    del pairs
    category = np.empty(products, np.int16)
    category[order] = shelf.category
    features = np.empty((products, FEATURES), np.float16)
    for rows, values in describe(rng, shelf):
        features[order[rows]] = values
    ranking = np.argsort(-np.diff(indptr), kind="stable")
    train, validation = products * 8 // 100, products * 10 // 100
    return ProductGraph(
        source=SOURCE,
        indptr=indptr,
        indices=indices,
        features=features,
        categories=CATEGORIES,
        category=category,
        train=np.sort(ranking[:train]),
        validation=np.sort(ranking[train:validation]),
        test=np.sort(ranking[validation:]),
    )


def simulated_requests(n: int, seed: int = 0) -> Iterator[dict[str, Array]]:
    """Yield requests for 1 to 256 products of Naiad's sample graph, mostly for few."""
    from naiad.applications.products.pipeline import Products

    rng = np.random.default_rng(seed)
    products = len(Products().graph)
    for _ in range(n):
        count = int(np.exp(rng.uniform(0, np.log(256))))
        yield {"product": rng.integers(0, products, count), "seed": np.array([seed])}


def stock(rng: np.random.Generator, products: int) -> Shelf:
    """Draw the products' categories, niches and purchase weights."""
    share = 1.0 / np.arange(1, len(CATEGORIES) + 1) ** 1.1
    category = np.sort(rng.choice(len(CATEGORIES), products, p=share / share.sum()))
    # A niche begins where a category does, and at random places within it.
    begins = (rng.random(products) < 1 / _NICHE) | (np.diff(category, prepend=-1) != 0)
    weight = np.cumsum(rng.lognormal(0.0, _SPREAD, products))
    return Shelf(
        category=category.astype(np.int16),
        niche=(np.cumsum(begins) - 1).astype(np.int32),
        weight=weight / weight[-1],
    )


def bought_together(
    rng: np.random.Generator, shelf: Shelf, order: NDArray[np.int32]
) -> Iterator[NDArray[np.int32]]:
    """Yield pairs of products, int32 ``[2, pairs]``; some repeat, some have one product twice.

    ``order`` is each product's number, by its position on the shelf.
    """
    left = round(len(order) * _NEIGHBOURS / 2 * _DRAWN)
    niche, category = (_bounds(shelf, group) for group in (shelf.niche, shelf.category))
    while left:
        count = min(left, _CHUNK)
        left -= count
        first = _find(shelf, rng.random(count))
        low, high = np.zeros(count), np.ones(count)
        how = rng.random(count)
        for bounds, group, here in (
            (niche, shelf.niche, how < _SAME_NICHE),
            (category, shelf.category, (how >= _SAME_NICHE) & (how < _SAME_NICHE + _SAME_CATEGORY)),
        ):
            own = group[first[here]]
            low[here], high[here] = bounds[own], bounds[own + 1]
        second = _find(shelf, low + rng.random(count) * (high - low))
        yield np.stack([order[first], order[second]])


def describe(rng: np.random.Generator, shelf: Shelf) -> Iterator[tuple[slice, NDArray[np.float16]]]:
    """Yield the products' features in chunks, float16, by position on the shelf."""
    fixed = np.random.default_rng(_FEATURES_SEED)
    scale = (1.0 / np.sqrt(1 + np.arange(FEATURES))).astype(np.float32)
    of_category = fixed.normal(size=(len(CATEGORIES), FEATURES)).astype(np.float32)
    niches = int(shelf.niche[-1]) + 1
    of_niche = rng.standard_normal((niches, FEATURES), np.float32)
    step = _CHUNK // FEATURES
    for start in range(0, len(shelf.niche), step):
        rows = slice(start, start + step)
        own = rng.standard_normal((len(shelf.niche[rows]), FEATURES), np.float32)
        values = of_category[shelf.category[rows]] + of_niche[shelf.niche[rows]] + 2 * own
        yield rows, (values * scale).astype(np.float16)


def _bounds(shelf: Shelf, group: NDArray[Any]) -> NDArray[np.float64]:
    """Return the cumulative weight at the start of each group, and 1 at the end."""
    ends = np.cumsum(np.bincount(group))
    return np.concatenate([[0.0], shelf.weight[ends - 1]])


def _find(shelf: Shelf, weight: NDArray[np.float64]) -> Ints:
    # Sorted, because random searches among millions miss the caches at every step.
    order = np.argsort(weight)
    place = np.empty(len(weight), np.int64)
    place[order] = np.searchsorted(shelf.weight, weight[order], side="right")
    return np.minimum(place, len(shelf.weight) - 1)
