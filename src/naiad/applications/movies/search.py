"""Films that fit a description, by meaning, words and fame.

The score is the weighted sum of three signals, each divided by its largest value:

- *meaning*: the cosine of the film's embedding with that of the description.
- *words*: BM25 of the description's words in the film's title, plot, tagline, genres and people.
- *fame*: the logarithm of the number of users who like the film. Of films that fit about equally,
  people mean the one that is known; it never finds a film by itself.

Sums, not reciprocal rank fusion: ranks forget by how much a film is ahead, so that fame would
outweigh an exact description of a film that few know. See ``benchmarks/films.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.graph import VECTOR
from naiad.applications.movies.picks import Pick
from naiad.applications.store import Where
from naiad.core.schema import Array

WEIGHTS: Final = {"meaning": 0.35, "words": 0.35, "fame": 0.3}

_DEPTH: Final = 1000  # films per signal
_CHECKED: Final = 200  # of those found by words alone, if there are conditions


def search(
    catalogue: Catalogue, text: str, vector: Array, k: int, where: Where | None = None
) -> list[Pick]:
    """Return the ``k`` films that fit a description best, the best first.

    Args:
        catalogue: the films.
        text: the description.
        vector: its embedding, float32 [length].
        k: number of films.
        where: conditions that a film must meet.
    """
    hits = catalogue.store.nearest("Movie", VECTOR, vector, _DEPTH, where=where)
    meaning = {str(hit.key): hit.score for hit in hits}
    # Conditions are met before the cut, not after it.
    words = catalogue.full_text.scores(text, len(catalogue.films) if where else _DEPTH)
    if where:
        words = _meeting(catalogue, words, meaning, where)
    total: dict[str, float] = {}
    for name, scores in (("meaning", meaning), ("words", words)):
        weight = WEIGHTS[name] / (max(0.0, *scores.values()) or 1.0) if scores else 0.0
        for film, score in scores.items():
            total[film] = total.get(film, 0.0) + weight * max(score, 0.0)
    fame = catalogue.fame
    for film, score in total.items():
        if score > 0:
            total[film] = score + WEIGHTS["fame"] * fame.get(film, 0.0)
    best = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:k]
    return catalogue.explained(dict(best), [])


def _meeting(
    catalogue: Catalogue, words: Mapping[str, float], known: Mapping[str, float], where: Where
) -> dict[str, float]:
    """Return the films that meet conditions; ``known`` do."""
    open_ = [film for film in words if film not in known]
    if "id" in where:
        _, among = where["id"]
        open_ = [film for film in open_ if film in frozenset(among)]
    met = set(known)
    if open_ := open_[:_CHECKED]:
        found = catalogue.store.find("Movie", {**where, "id": ("in", open_)}, limit=_CHECKED)
        met.update(row["id"] for row in found)
    return {film: score for film, score in words.items() if film in met}
