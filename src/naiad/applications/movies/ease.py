"""EASE: predict the films that a user likes from those they rated, by a linear model.

A user is a row ``x`` with a value per film; film ``j`` scores the sum of ``x[i] * B[i, j]`` over
the films rated. ``B`` has zeros on its diagonal, so that no film predicts itself, and minimises
``|X - X B|^2 + penalty * |B|^2`` (Steck, "Embarrassingly shallow autoencoders for sparse data",
WWW 2019, arXiv:1905.03375). Then ``B[i, j] = a[i] @ a[j] / (1 - a[j] @ a[j])``, where the columns
of ``A`` satisfy ``A.T @ A = X.T @ inv(X @ X.T + penalty) @ X``. ``A`` [rank, films] is kept instead
of ``B`` [films, films], and found from the products of users or of films, whichever are fewer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import Array

PENALTY: Final = 150.0
EXACT: Final = 2_048
"""Number of users, or of films, up to which the solution is exact."""
RANK: Final = 1_024
"""Rank of the approximate solution for more users and films."""

_ROUNDS: Final = 4  # of subspace iteration
_BLOCK: Final = 2_048  # rows of ratings per step, made dense for the last product

Advance = Callable[[int, int], None]
"""Called with the number of steps done and the total."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """A sparse matrix of ratings, one per user and film at most.

    Attributes:
        users: the number of each rating's user, int64 [ratings].
        films: the number of its film, int64 [ratings].
        values: float32 [ratings].
        shape: number of users and of films.
    """

    users: NDArray[np.int64]
    films: NDArray[np.int64]
    values: Array
    shape: tuple[int, int]


def factors(ratings: Ratings, advance: Advance = lambda done, total: None) -> Array:
    """Return ``A``, float32 [rank, films]; the rank is at most the number of users or films."""
    users, films = ratings.shape
    by_user = users <= films
    few, many = (ratings.users, ratings.films) if by_user else (ratings.films, ratings.users)
    size = min(users, films)
    order = np.argsort(many, kind="stable")
    few, many, values = few[order], many[order], ratings.values[order]
    starts = list(range(0, max(users, films), _BLOCK))
    steps = len(starts) + _ROUNDS + 1

    def block(start: int) -> Array:
        """Return a part of the matrix, float32 [few, many of this block]."""
        first, last = np.searchsorted(many, [start, start + _BLOCK])
        width = min(_BLOCK, max(users, films) - start)
        dense = np.zeros((size, width), np.float32)
        dense[few[first:last], many[first:last] - start] = values[first:last]
        return dense

    products = np.zeros((size, size), np.float32)
    bounds = np.searchsorted(many, np.arange(max(users, films) + 1)).tolist()
    for number, start in enumerate(starts):
        advance(number, steps)
        for first, last in pairwise(bounds[start : start + _BLOCK + 1]):
            if last > first:
                rows, part = few[first:last], values[first:last]
                products[np.ix_(rows, rows)] += np.outer(part, part)
    squares, vectors = _largest(products, lambda done: advance(len(starts) + done, steps))
    if by_user:
        to_film = (vectors / np.sqrt(squares + PENALTY)).T
        found = np.concatenate([to_film @ block(start) for start in starts], axis=1)
    else:
        found = (vectors * np.sqrt(squares / (squares + PENALTY))).T
    advance(steps, steps)
    return np.ascontiguousarray(found, np.float32)


def divisors(factors: Array) -> Array:
    """Return the divisors ``1 - a[j] @ a[j]``, float32 [films], above 0."""
    return np.maximum(1.0 - np.einsum("rf,rf->f", factors, factors), 1e-6)


def _largest(products: Array, advance: Callable[[int], None]) -> tuple[Array, Array]:
    """Return the largest eigenvalues above 0 and their vectors, [size, rank]."""
    size = len(products)
    if size <= EXACT:
        squares, vectors = np.linalg.eigh(products.astype(np.float64))
    else:
        rng = np.random.default_rng(0)
        basis = rng.standard_normal((size, min(RANK, size)), np.float32)
        for done in range(_ROUNDS):
            basis = np.linalg.qr(products @ basis)[0]
            advance(done + 1)
        squares, vectors = np.linalg.eigh(basis.T @ products @ basis)
        vectors = basis @ vectors
    kept = squares > 1e-6 * max(float(squares[-1]), 1e-30)
    return squares[kept].astype(np.float32), vectors[:, kept].astype(np.float32)
