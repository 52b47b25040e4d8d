"""Recommendations for a user, from ratings, the graph and descriptions.

The score is the weighted sum of three signals, each divided by its largest value:

- *taste*: the number of users who like both the film and a film that the user likes, as a cosine
  of sets: ``common / sqrt(likes of the film)``.
- *graph*: the directors, writers and actors that a film shares with those the user likes.
- *text*: the cosine of a film's embedding with the mean of those the user likes, each weighted by
  how far its rating is above the user's mean.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np

from naiad.applications.movies.catalogue import LIKING, Catalogue
from naiad.applications.movies.graph import PEOPLE, VECTOR
from naiad.applications.movies.picks import Pick
from naiad.applications.store import Key
from naiad.core.schema import Array
from naiad.errors import InvalidInput

WEIGHTS: Final = {"taste": 0.4, "graph": 0.2, "text": 0.4}

_MOST_LIKED: Final = 30  # of the user's films: the best rated, the latest first among equals
_CANDIDATES: Final = 300  # films per signal
_NEAR: Final = 2  # liked films named as a reason


@dataclass(frozen=True, slots=True)
class Taste:
    """The films that a user has rated.

    Attributes:
        weights: weights, above 0, of the films they like, the best first.
        rated: all films they have rated.
    """

    weights: dict[str, float]
    rated: frozenset[str]


def recommend(catalogue: Catalogue, user: str, k: int) -> list[Pick]:
    """Return the ``k`` best films that a user has not rated, the best first.

    Raises:
        InvalidInput: the user does not exist or has rated nothing.
    """
    taste = taste_of(catalogue, user)
    liked = list(taste.weights)
    taste_scores, users = _taste_scores(catalogue, liked)
    vectors = catalogue.store.vectors("Movie", VECTOR, list(liked))
    signals = {
        "taste": taste_scores,
        "graph": _graph_scores(catalogue, liked),
        "text": _text_scores(catalogue, taste, vectors),
    }
    total: dict[str, float] = defaultdict(float)
    for name, scores in signals.items():
        top = max(scores.values(), default=0.0)
        for film, score in scores.items():
            if film not in taste.rated and top > 0:
                total[film] += WEIGHTS[name] * max(0.0, score / top)
    best = dict(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:k])
    return catalogue.explained(
        best, liked, _nearest_liked(catalogue, list(best), vectors), users=users
    )


def taste_of(catalogue: Catalogue, user: str) -> Taste:
    """Return the films that a user has rated and those they like.

    They like films rated above their own mean, or all films if they rate all the same.

    Raises:
        InvalidInput: the user does not exist or has rated nothing.
    """
    ratings = catalogue.store.links("rated", [user])
    if not ratings:
        if catalogue.store.get("User", [user]) == [None]:
            examples = ", ".join(row["id"] for row in catalogue.store.find("User", limit=3))
            number = catalogue.store.count("User")
            raise InvalidInput(f"no user {user[:80]!r}; there are {number:,}, such as {examples}")
        raise InvalidInput(f"user {user!r} has rated no films, so their taste is unknown")
    mean = sum(link.properties["rating"] for link in ratings) / len(ratings)
    above = [link for link in ratings if link.properties["rating"] > mean] or ratings
    above.sort(key=lambda link: (-link.properties["rating"], -(link.properties["timestamp"] or 0)))
    weights = {
        str(link.target): max(link.properties["rating"] - mean, 0.0) or 1.0
        for link in above[:_MOST_LIKED]
    }
    return Taste(weights, frozenset(str(link.target) for link in ratings))


def _taste_scores(
    catalogue: Catalogue, liked: list[str]
) -> tuple[dict[str, float], dict[str, int]]:
    found = catalogue.store.common("Movie", list(liked), ["rated"], where=LIKING, limit=_CANDIDATES)
    users = {str(each.key): each.common for each in found}
    likes = catalogue.likes(list(users))
    return {film: count / math.sqrt(likes[film]) for film, count in users.items()}, users


def _graph_scores(catalogue: Catalogue, liked: list[str]) -> dict[str, float]:
    found = catalogue.store.common("Movie", list(liked), list(PEOPLE), limit=_CANDIDATES)
    return {str(each.key): float(each.common) for each in found}


def _text_scores(catalogue: Catalogue, taste: Taste, vectors: dict[Key, Array]) -> dict[str, float]:
    if not vectors:
        return {}
    profile = np.sum(
        [taste.weights[str(film)] * _unit(vector) for film, vector in vectors.items()], axis=0
    )
    if not profile.any():
        return {}
    where = {"id": ("not in", sorted(taste.rated))}
    hits = catalogue.store.nearest("Movie", VECTOR, profile, _CANDIDATES, where=where)
    return {str(hit.key): hit.score for hit in hits}


def _nearest_liked(
    catalogue: Catalogue, films: list[str], vectors: dict[Key, Array]
) -> dict[str, list[str]]:
    """Return, for each film, the liked films with the most similar descriptions."""
    if not vectors:
        return {}
    names = [str(film) for film in vectors]
    units = np.stack([_unit(vector) for vector in vectors.values()])
    found = catalogue.store.vectors("Movie", VECTOR, list(films))
    return {
        str(film): [names[i] for i in np.argsort(units @ vector)[::-1][:_NEAR]]
        for film, vector in found.items()
    }


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
