"""Films like a film: by all that is known, or by description, ratings, genres, directors or cast.

By ``title``, a text is not the name of a film but the beginning of one, or close to it: the films
are those whose title continues or resembles it.

By ``all``, the score is the weighted sum of three signals, each divided by its largest value; a
signal that the film lacks is left out, and the others count for more:

- *description*: the square of the cosine of the films' embeddings.
- *ratings*: ``common / (sqrt(likes * likes of the film) + 10)``, of the users who like both. The 10
  keeps films that few users like from coming first by chance.
- *graph*: the sum of the shares of the film's directors, writers, actors and companies that the
  other has too, the genres they have in common as a share of all genres of both, and 1 if they
  belong to the same series. In each, the rare counts for more: a company of 500 films says little.

By ``ratings`` alone, the score is the cosine between the users who like one film and those who like
the other. By ``genre``, ``director`` and ``cast``, it is the share of the film's own that the other
has too; among equals, the film that more users like comes first.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from naiad.applications.movies.catalogue import LIKING, Catalogue
from naiad.applications.movies.graph import PEOPLE, VECTOR
from naiad.applications.movies.kinds import LIKENESSES
from naiad.applications.movies.picks import Pick
from naiad.errors import InvalidInput

_SHARED: Final[Mapping[str, str]] = {
    "genre": "hasGenre",
    "director": "hasDirector",
    "cast": "hasActor",
}

TITLE: Final = "title"
"""The likeness to a text instead of a film."""

WEIGHTS: Final = {"description": 0.3, "ratings": 0.3, "graph": 0.4}
"""The weights of the signals of ``all``."""

_GRAPH: Final = (*PEOPLE, "hasProductionCompany")
_CANDIDATES: Final = 10_000
_DEPTH: Final = 1000  # films per signal
_DAMPING: Final = 10  # users


def check_likeness(by: str) -> str:
    """Return a kind of likeness.

    Raises:
        InvalidInput: there is no such kind.
    """
    if by not in LIKENESSES:
        raise InvalidInput(f"by is {by[:80]!r}; choose from {', '.join(LIKENESSES)}")
    return by


def find(catalogue: Catalogue, wanted: str, by: str) -> str:
    """Return the key of a film by title, title and year, or key; by ``title``, the text itself.

    Raises:
        InvalidInput: there is no such film or likeness.
    """
    return wanted if check_likeness(by) == TITLE else catalogue.find(wanted)


def like(catalogue: Catalogue, film: str, k: int, by: str = LIKENESSES[0]) -> list[Pick]:
    """Return the ``k`` films most like a film, the best first.

    Args:
        catalogue: the films.
        film: the key of the film; by ``title``, a text.
        k: number of films.
        by: one of :data:`LIKENESSES`.

    Raises:
        InvalidInput: there is no such likeness, or the film has no embedding, genre, director, cast
            or user who likes it; by ``all``, if it has none of these.
    """
    if check_likeness(by) == "all":
        return _by_all(catalogue, film, k)
    if by == TITLE:
        return catalogue.explained(catalogue.titles.completed(film, k), [])
    if by == "description":
        return _by_description(catalogue, film, k)
    if by == "ratings":
        return _by_ratings(catalogue, film, k)
    return _by_shared(catalogue, film, k, by)


def question(catalogue: Catalogue, film: str, by: str) -> str:
    """Return the question in words, such as ``like Heat (1995), by cast``."""
    if by == TITLE:
        return f"called like {film[:80]!r}"
    name = catalogue.titles.name(film)
    if by == "all":
        return f"like {name}"
    return f"liked by those who like {name}" if by == "ratings" else f"like {name}, by {by}"


def _by_all(catalogue: Catalogue, film: str, k: int) -> list[Pick]:
    users = _users_of_both(catalogue, film, _DEPTH)
    near = _described(catalogue, film, _DEPTH)
    signals = {
        "description": {key: max(cosine, 0.0) ** 2 for key, cosine in near.items()},
        "ratings": _rated(catalogue, film, users),
        "graph": _linked(catalogue, film, {*near, *users}),
    }
    found = {name: scores for name, scores in signals.items() if any(scores.values())}
    if not found:
        raise InvalidInput(
            f"{catalogue.titles.name(film)} has no embedding, nobody likes it and another film, "
            "and none shares its people, companies, genres or series; `naiad movies embed` adds "
            "embeddings"
        )
    whole = sum(WEIGHTS[name] for name in found)
    total: dict[str, float] = defaultdict(float)
    for name, scores in found.items():
        weight = WEIGHTS[name] / whole / max(scores.values())
        for key, score in scores.items():
            total[key] += weight * score
    best = dict(sorted(total.items(), key=lambda item: (-item[1], item[0]))[:k])
    return catalogue.explained(best, [film], users=users)


def _by_description(catalogue: Catalogue, film: str, k: int) -> list[Pick]:
    scores = _described(catalogue, film, k)
    if not catalogue.store.vectors("Movie", VECTOR, [film]):
        raise InvalidInput(
            f"{catalogue.titles.name(film)} has no embedding yet; run `naiad movies embed`"
        )
    return catalogue.explained(scores, [film])


def _described(catalogue: Catalogue, film: str, number: int) -> dict[str, float]:
    """Return the cosines of the nearest films; none if the film has no embedding."""
    vector = catalogue.store.vectors("Movie", VECTOR, [film]).get(film)
    if vector is None:
        return {}
    # An approximate index serves searches without conditions only.
    hits = catalogue.store.nearest("Movie", VECTOR, vector, number + 1)
    others = [hit for hit in hits if hit.key != film]
    return {str(hit.key): hit.score for hit in others[:number]}


def _users_of_both(catalogue: Catalogue, film: str, number: int) -> dict[str, int]:
    """Return the number of users who like the film and another, by the other."""
    found = catalogue.store.common("Movie", [film], ["rated"], where=LIKING, limit=number)
    return {str(each.key): each.common for each in found}


def _rated(catalogue: Catalogue, film: str, users: Mapping[str, int]) -> dict[str, float]:
    likes = catalogue.likes([film, *users])
    return {
        key: count / (math.sqrt(likes[film] * likes[key]) + _DAMPING)
        for key, count in users.items()
    }


def _linked(catalogue: Catalogue, film: str, others: Iterable[str]) -> dict[str, float]:
    """Return what films share with a film: those linked to it by a name or series, and ``others``.

    If these are few, also those that share a genre.
    """
    store = catalogue.store
    scores: dict[str, float] = defaultdict(float)
    for edge in _GRAPH:
        names = [link.target for link in store.links(edge, [film])]
        weight = {name: catalogue.rarity(edge, name) for name in names}
        whole = sum(weight.values())
        for link in store.links(edge, list(weight), side="target") if whole else ():
            scores[str(link.source)] += weight[link.target] / whole
    for key in catalogue.series(film):
        scores[key] += 1
    among = {*others, *scores}
    if len(among) < _DEPTH:
        found = store.common("Movie", [film], ["hasGenre"], limit=_DEPTH)
        among.update(str(each.key) for each in found)
    for key, share in catalogue.genres_shared(film, among).items():
        scores[key] += share
    scores.pop(film, None)
    return scores


def _by_ratings(catalogue: Catalogue, film: str, k: int) -> list[Pick]:
    users = _users_of_both(catalogue, film, _CANDIDATES)
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
    order = sorted(scores, key=lambda key: (-scores[key], -likes[key], key))[:k]
    return catalogue.explained({key: scores[key] for key in order}, [film])
