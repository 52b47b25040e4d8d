"""Recommendations for a user, from ratings, the graph and descriptions.

The score is the weighted sum of three signals, each divided by its largest value among all films
that the user has not rated:

- *taste*: the prediction of a model of all ratings (:mod:`naiad.applications.movies.ease`), which
  may be older than the user's own. For a film that nobody rated, the model's factors are predicted
  from its description, by a ridge regression on the rated films (Gantner et al., "Learning
  attribute-to-feature mappings for cold-start recommendations", ICDM 2010).
- *graph*: the directors, writers and actors that a film shares with those the user likes.
- *text*: the cosine of a film's embedding with the mean of those the user likes, each weighted by
  how far its rating is above the user's mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.movies.catalogue import LIKING, Catalogue
from naiad.applications.movies.ease import divisors
from naiad.applications.movies.graph import PEOPLE, VECTOR
from naiad.applications.movies.picks import Pick
from naiad.applications.movies.tastes import Tastes, likes, values_of
from naiad.applications.store import Link
from naiad.core.schema import Array
from naiad.errors import InvalidInput

WEIGHTS: Final[Mapping[str, float]] = {"taste": 0.8, "graph": 0.1, "text": 0.1}

MOST_DESCRIBED: Final = 100_000
"""Number of films whose embeddings are held in memory, 150 MB. In a larger catalogue text counts
for the nearest films only, and not for the taste of films that nobody rated."""

_NEAREST: Final = 1_000
_RIDGE: Final = 1.0
_MOST_REASONS: Final = 30  # of the liked films: the best rated, the latest first among equals
_NAMED: Final = 2  # liked films named as a reason for a pick
_ALL: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class History:
    """The films that a user has rated and that are in the catalogue, best rated first.

    Attributes:
        films: their numbers, int64 [rated].
        values: their values in the model of tastes, float32 [rated].
        liked: whether the user likes them, bool [rated].
        weights: how far each rating is above the user's mean, float32 [rated]; 0 for films that
            the user does not like, 1 for all films if they rate all the same.
    """

    films: NDArray[np.int64]
    values: Array
    liked: NDArray[np.bool_]
    weights: Array


class Recommender:
    """Recommendations from one published state of a store.

    Args:
        catalogue: the films.
        tastes: what was learned from the ratings; None to do without.
    """

    def __init__(self, catalogue: Catalogue, tastes: Tastes | None) -> None:
        self._catalogue = catalogue
        self._numbers = {key: number for number, key in enumerate(catalogue.keys)}
        self._embeddings = self._read_embeddings()
        self._use(tastes)

    def recommend(self, user: str, k: int) -> list[Pick]:
        """Return the ``k`` best films that a user has not rated, the best first.

        Raises:
            InvalidInput: the user does not exist or has rated nothing.
        """
        history = self.history(user)
        total = self.scores(history)
        best = [int(film) for film in np.argsort(-total, kind="stable")[:k] if total[film] > 0]
        keys = self._catalogue.keys
        liked = [keys[film] for film in history.films[history.liked]]
        return self._catalogue.explained(
            {keys[film]: float(total[film]) for film in best},
            liked[:_MOST_REASONS],
            self._reasons(history, best),
            users=self._users(liked[:_MOST_REASONS], [keys[film] for film in best]),
        )

    def history(self, user: str) -> History:
        """Return the films that a user has rated.

        Raises:
            InvalidInput: the user does not exist or has rated nothing.
        """
        store = self._catalogue.store
        links = [
            link
            for link in store.links("rated", [user])
            if link.target in self._numbers and math.isfinite(_rating(link))
        ]
        if not links:
            if store.get("User", [user]) == [None]:
                examples = ", ".join(row["id"] for row in store.find("User", limit=3))
                raise InvalidInput(
                    f"no user {user[:80]!r}; there are {store.count('User'):,}, such as {examples}"
                )
            raise InvalidInput(f"user {user!r} has rated no films, so their taste is unknown")
        links.sort(key=_best_first)
        ratings = np.array([link.properties["rating"] for link in links], np.float64)
        liked = likes(np.zeros(len(links), np.int64), ratings)
        above = np.where(liked, np.maximum(ratings - ratings.mean(), 0), 0)
        return History(
            np.array([self._numbers[str(link.target)] for link in links]),
            values_of(liked),
            liked,
            (above if above.any() else liked).astype(np.float32),
        )

    def scores(self, history: History) -> Array:
        """Return the score of every film, float64 [films]; 0 for those that the user has rated."""
        total = np.zeros(len(self._numbers))
        for name, scores in self.signals(history).items():
            total += WEIGHTS[name] * scores
        return total

    def signals(self, history: History) -> dict[str, Array]:
        """Return the signals of every film by name, each float32 [films], 0 to 1."""
        found = {
            "taste": self._taste(history),
            "graph": self._graph(history),
            "text": self._text(history),
        }
        for scores in found.values():
            scores[history.films] = 0
            np.maximum(scores, 0, out=scores)
            scores /= max(float(scores.max(initial=0)), 1e-20)
        return found

    def _taste(self, history: History) -> Array:
        scores = np.zeros(len(self._numbers), np.float32)
        profile = self._factors_of(history.films) @ history.values
        if self._mapping is not None:
            assert self._embeddings is not None
            scores = self._embeddings @ (self._mapping @ profile)
        learned = self._column >= 0
        scores[learned] = (profile @ self._factors / self._divisors)[self._column[learned]]
        return scores

    def _graph(self, history: History) -> Array:
        liked = [self._catalogue.keys[film] for film in history.films[history.liked]]
        scores = np.zeros(len(self._numbers), np.float32)
        for each in self._catalogue.store.common("Movie", liked, list(PEOPLE), limit=_ALL):
            scores[self._numbers[str(each.key)]] = each.common
        return scores

    def _text(self, history: History) -> Array:
        scores = np.zeros(len(self._numbers), np.float32)
        if self._embeddings is not None:
            profile = history.weights @ self._embeddings[history.films]
            return self._embeddings @ profile
        liked = [self._catalogue.keys[film] for film in history.films[history.liked]]
        vectors = self._catalogue.store.vectors("Movie", VECTOR, liked)
        weights = dict(zip(liked, history.weights[history.liked], strict=True))
        profile = sum(weights[str(key)] * _units(vector) for key, vector in vectors.items())
        if np.any(profile):
            number = min(_NEAREST + len(history.films), len(self._numbers))
            for hit in self._catalogue.store.nearest("Movie", VECTOR, np.asarray(profile), number):
                scores[self._numbers[str(hit.key)]] = hit.score
        return scores

    def _reasons(self, history: History, best: Sequence[int]) -> dict[str, list[str]]:
        """Return, for each pick, the liked films that add most to its score by taste or text."""
        liked = history.films[history.liked]
        if not best:
            return {}
        parts = self._factors_of(liked).T @ self._factors_of(best)  # [liked, picks]
        if self._embeddings is not None:
            near = self._embeddings[liked] @ self._embeddings[best].T
            parts = np.where(np.any(parts > 0, axis=0), parts, near)
        keys = self._catalogue.keys
        order = np.argsort(-parts, axis=0, kind="stable")[:_NAMED]
        return {
            keys[film]: [keys[liked[row]] for row in order[:, number] if parts[row, number] > 0]
            for number, film in enumerate(best)
        }

    def _users(self, liked: Sequence[str], best: Sequence[str]) -> dict[str, int]:
        """Return, for each pick, the number of users who like it and a liked film."""
        found = self._catalogue.store.common(
            "Movie", liked, ["rated"], among=best, where=LIKING, limit=max(1, len(best))
        )
        return {str(each.key): each.common for each in found}

    def _read_embeddings(self) -> Array | None:
        """Return embeddings of length 1, or 0 where one is missing: float32 [films, length]."""
        if len(self._numbers) > MOST_DESCRIBED:
            return None
        keys, vectors = self._catalogue.store.all_vectors("Movie", VECTOR)
        found = np.zeros((len(self._numbers), vectors.shape[1]), np.float32)
        found[[self._numbers[str(key)] for key in keys]] = _units(vectors)
        return found

    def _use(self, tastes: Tastes | None) -> None:
        """Fit the factors of films that nobody rated to those that were learned."""
        self._factors = np.zeros((0, 0), np.float32) if tastes is None else tastes.factors
        self._divisors = divisors(self._factors)
        self._column = np.full(len(self._numbers), -1)  # of each film in the factors, or -1
        for column, key in enumerate(tastes.films if tastes else ()):
            if key in self._numbers:
                self._column[self._numbers[key]] = column
        self._mapping: Array | None = None  # from embeddings to factors, [length, rank]
        learned = self._column >= 0
        if self._embeddings is None or learned.all():
            return
        known = self._embeddings[learned]
        if known.any():
            products = known.T @ known + _RIDGE * np.eye(known.shape[1], dtype=np.float32)
            targets = known.T @ self._factors[:, self._column[learned]].T
            self._mapping = np.linalg.solve(products, targets)

    def _factors_of(self, films: Sequence[int] | NDArray[np.int64]) -> Array:
        """Return the factors of films, learned or predicted: float32 [rank, films]."""
        columns = self._column[films]
        found = np.zeros((len(self._factors), len(columns)), np.float32)
        if self._mapping is not None:
            assert self._embeddings is not None
            found = (self._embeddings[films] @ self._mapping).T
        found[:, columns >= 0] = self._factors[:, columns[columns >= 0]]
        return found


def _rating(link: Link) -> float:
    """Return a rating, or NaN."""
    rating = link.properties["rating"]
    return math.nan if rating is None else rating


def _best_first(link: Link) -> tuple[float, float]:
    return -link.properties["rating"], -(link.properties["timestamp"] or 0)


def _units(vectors: Array) -> Array:
    """Return vectors [..., length] scaled to length 1; those of length 0 as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-20)).astype(np.float32)
