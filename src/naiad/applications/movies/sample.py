"""Naiad's sample graph: films, people, users and ratings, all invented.

The films are in ``data/films.csv``, written for Naiad. Their casts and ratings are drawn here from
a seed. Any resemblance to a real name or title is chance.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from naiad.applications.movies.graph import MovieTables
from naiad.applications.store.schema import SOURCE, TARGET

FILMS: Final = Path(__file__).parent / "data" / "films.csv"

NOTICE: Final = "every film, person, user and rating in this graph is invented"

USERS: Final = 60

_FIRST = (
    *("Ada", "Bruno", "Celia", "Dario", "Edith", "Femi", "Greta", "Hugo", "Ines", "Jonas"),
    *("Katya", "Leon", "Mara", "Nils", "Olga", "Pavel", "Rosa", "Sven", "Thea", "Yusuf"),
)
_LAST = (
    *("Abelard", "Brack", "Corvo", "Dunmore", "Eskola", "Farrow", "Gallen", "Hollis", "Ivarsen"),
    *("Jarrow", "Kestrel", "Lund", "Marlow", "Nightley", "Orsino", "Pell", "Quill", "Rosen"),
)
_PEOPLE = 150
_SEED = 20


def sample_tables() -> MovieTables:
    """Return the graph, the same on every call."""
    rng = np.random.default_rng(_SEED)
    with FILMS.open(encoding="utf-8", newline="") as file:
        films = list(csv.DictReader(file))
    keys = [f"f{number:03}" for number in range(1, len(films) + 1)]
    genres = [film["genres"].split("|") for film in films]
    kinds = sorted({genre for each in genres for genre in each})
    has = np.array([[kind in each for kind in kinds] for each in genres], float)
    names = [f"{first} {last}" for first in _FIRST for last in _LAST]
    people = [names[i] for i in rng.permutation(len(names))[:_PEOPLE]]
    nodes = {
        "Movie": pa.table(
            {
                "id": keys,
                "title": [film["title"] for film in films],
                "year": [int(film["year"]) for film in films],
                "overview": [film["overview"] for film in films],
                "genres": genres,
            }
        ),
        "Person": pa.table({"id": [f"p{i:03}" for i in range(_PEOPLE)], "name": people}),
        "Genre": pa.table({"id": kinds, "name": kinds}),
        "User": pa.table(
            {
                "id": [str(i) for i in range(1, USERS + 1)],
                "name": [f"invented user {i}" for i in range(1, USERS + 1)],
            }
        ),
    }
    edges = {
        "hasGenre": _edges(
            (key, genre) for key, each in zip(keys, genres, strict=True) for genre in each
        ),
        **_casts(keys, has, rng),
        "rated": _ratings(keys, has, rng),
    }
    return MovieTables(nodes, edges, "the sample that comes with Naiad", NOTICE)


def _edges(pairs: Any) -> pa.Table:
    sources, targets = zip(*pairs, strict=True)
    return pa.table({SOURCE: list(sources), TARGET: list(targets)})


def _casts(keys: list[str], has: Any, rng: np.random.Generator) -> dict[str, pa.Table]:
    """Draw a director, a writer and three actors per film; people prefer some genres."""
    tastes = rng.dirichlet(np.full(has.shape[1], 0.25), _PEOPLE)
    found: dict[str, list[tuple[str, str]]] = {"hasDirector": [], "hasWriter": [], "hasActor": []}
    for key, row in zip(keys, has, strict=True):
        shares = tastes @ row + 0.01
        shares /= shares.sum()
        chosen = rng.choice(_PEOPLE, 5, replace=False, p=shares)
        roles = ("hasDirector", "hasWriter", "hasActor", "hasActor", "hasActor")
        for role, person in zip(roles, chosen, strict=True):
            found[role].append((key, f"p{person:03}"))
    return {role: _edges(pairs) for role, pairs in found.items()}


def _ratings(keys: list[str], has: Any, rng: np.random.Generator) -> pa.Table:
    """Draw ratings: each user sees a third of the films, mostly in genres they like."""
    columns: dict[str, list[Any]] = {SOURCE: [], TARGET: [], "rating": [], "timestamp": []}
    for user in range(1, USERS + 1):
        taste = rng.normal(size=has.shape[1])
        liking = has @ taste / np.sqrt(has.sum(axis=1))
        shares = np.exp(liking)
        seen = rng.choice(len(keys), len(keys) // 3, replace=False, p=shares / shares.sum())
        ratings = np.clip(np.round(2 * (3.2 + liking + rng.normal(0, 0.4, len(keys)))) / 2, 0.5, 5)
        for film in sorted(seen):
            columns[SOURCE].append(str(user))
            columns[TARGET].append(keys[film])
            columns["rating"].append(float(ratings[film]))
            columns["timestamp"].append(1_700_000_000 + int(film))
    return pa.table(columns)
