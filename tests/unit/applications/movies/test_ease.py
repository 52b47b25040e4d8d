"""The factors are those of EASE's closed form."""

from __future__ import annotations

import numpy as np
import pytest

from naiad.applications.movies import ease
from naiad.applications.movies.ease import PENALTY, Ratings, divisors, factors


def ratings(users: int, films: int) -> tuple[Ratings, np.ndarray]:
    rng = np.random.default_rng(users)
    dense = rng.random((users, films)) * (rng.random((users, films)) < 0.3)
    user, film = np.nonzero(dense)
    order = rng.permutation(len(user))
    user, film = user[order], film[order]
    values = dense[user, film].astype(np.float32)
    return Ratings(user, film, values, dense.shape), dense


def closed_form(dense: np.ndarray) -> np.ndarray:
    """Return B as Steck's paper does, by the inverse of films by films."""
    inverse = np.linalg.inv(dense.T @ dense + PENALTY * np.eye(dense.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def weights(found: np.ndarray) -> np.ndarray:
    weights = found.T @ found / divisors(found)
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (7, 7)])
def test_users_or_films_may_be_fewer(shape: tuple[int, int], monkeypatch) -> None:
    monkeypatch.setattr(ease, "_BLOCK", 5)
    given, dense = ratings(*shape)
    steps: list[tuple[int, int]] = []
    found = factors(given, lambda *step: steps.append(step))
    assert found.dtype == np.float32
    assert len(found) <= min(shape)
    np.testing.assert_allclose(weights(found), closed_form(dense), rtol=1e-3, atol=1e-6)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


def test_many_users_and_films_are_approximated(monkeypatch) -> None:
    """With the largest factors alone, most of the weights' size is there."""
    monkeypatch.setattr(ease, "EXACT", 10)
    monkeypatch.setattr(ease, "RANK", 45)
    given, dense = ratings(60, 80)
    found = factors(given)
    assert len(found) == 45
    right = closed_form(dense)
    assert np.linalg.norm(weights(found) - right) < 0.1 * np.linalg.norm(right)


def test_no_ratings_give_no_factors() -> None:
    nothing = np.zeros(0, np.int64)
    found = factors(Ratings(nothing, nothing, nothing.astype(np.float32), (3, 4)))
    assert found.shape == (0, 4)
    assert divisors(found).tolist() == [1, 1, 1, 1]
