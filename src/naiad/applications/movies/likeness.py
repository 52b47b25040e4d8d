"""Films like a film: by description, ratings, genres, directors or cast.

By ``ratings``, the score is the cosine between the users who like one film and those who like the
other. By ``genre``, ``director`` and ``cast``, it is the share of the film's own that the other has
too; among equals, the film that more users like comes first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from naiad.applications.movies.catalogue import LIKING, Catalogue
from naiad.applications.movies.picks import Pick
from naiad.errors import InvalidInput

_SHARED: Final[Mapping[str, str]] = {
    "genre": "hasGenre",
    "director": "hasDirector",
    "cast": "hasActor",
}

LIKENESSES: Final = ("description", "ratings", *_SHARED)
"""The kinds of likeness."""

_CANDIDATES: Final = 10_000


def check_likeness(by: str) -> str:
    """Return a kind of likeness.

    Raises:
        InvalidInput: there is no such kind.
    """
    if by not in LIKENESSES:
        raise InvalidInput(f"by is {by[:80]!r}; choose from {', '.join(LIKENESSES)}")
    return by


def like(catalogue: Catalogue, film: str, k: int, by: str = "description") -> list[Pick]:
    """Return the ``k`` films most like a film, the best first.

    Args:
        catalogue: the films.
        film: the key of the film.
        k: number of films.
        by: one of :data:`LIKENESSES`.

    Raises:
        InvalidInput: there is no such likeness, or the film has no embedding, genre, director, cast
            or user who likes it.
    """
    if check_likeness(by) == "description":
        return catalogue.similar(film, k)
    if by == "ratings":
        return _by_ratings(catalogue, film, k)
    return _by_shared(catalogue, film, k, by)


def question(name: str, by: str) -> str:
    """Return the question in words, such as ``like Heat (1995), by cast``."""
    if by == "description":
        return f"like {name}"
    return f"liked by those who like {name}" if by == "ratings" else f"like {name}, by {by}"


def _by_ratings(catalogue: Catalogue, film: str, k: int) -> list[Pick]:
    found = catalogue.store.common("Movie", [film], ["rated"], where=LIKING, limit=_CANDIDATES)
    users = {str(each.key): each.common for each in found}
    likes = catalogue.likes([film, *users])
    if not likes[film]:
        raise InvalidInput(
            f"no user rates {catalogue.titles.name(film)} {LIKING['rating'][1]:g} or more"
        )
    scores = {key: count / math.sqrt(likes[film] * likes[key]) for key, count in users.items()}
    best = dict(sorted(scores.items(), key=lambda item: (-item[1], -users[item[0]], item[0]))[:k])
    return catalogue.explained(best, [film], users=users)


def _by_shared(catalogue: Catalogue, film: str, k: int, by: str) -> list[Pick]:
    edge = _SHARED[by]
    own = len(catalogue.store.links(edge, [film]))
    if not own:
        raise InvalidInput(f"{catalogue.titles.name(film)} has no {by} in this graph")
    found = catalogue.store.common("Movie", [film], [edge], limit=_CANDIDATES)
    least = found[:k][-1].common if found else 0
    scores = {str(each.key): each.common / own for each in found if each.common >= least}
    likes = catalogue.likes(list(scores))
    best = dict(sorted(scores.items(), key=lambda item: (-item[1], -likes[item[0]], item[0]))[:k])
    return catalogue.explained(best, [film])
