"""Measure the films recommended to users, against ratings held out.

    python benchmarks/recommendations.py FOLDER [--splits 5] [--seed 0] [--vectors STORE]

FOLDER is any that `naiad movies load` can read. In each split, 20% of the films that each user
likes (rated above the user's own mean) are held out, and a store of the other ratings is filled,
learned from and asked. Prints the precision of the first 10 picks and the share of users with a
hit, as mean and standard deviation over the splits, and the CPU time per answer. --vectors names a
store of the same films with embeddings, which are copied; without it, text does not count.

In a second measurement, all ratings of a tenth of the films are held out, and the films that nobody
rated now are ranked among themselves.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.graph import VECTOR, MovieTables, movie_schema
from naiad.applications.movies.reading import read_source
from naiad.applications.movies.recommend import WEIGHTS, Recommender
from naiad.applications.movies.tastes import learn, likes
from naiad.applications.store import create_store, open_store

_PICKS = 10
_SHARE = 0.2
_COLD = 0.1
_TIMED = 100  # users per split
_LEAST = 3  # ratings of a film that may become one that nobody rated

METHODS: dict[str, Mapping[str, float]] = {
    "Naiad": WEIGHTS,
    "taste alone (EASE)": {"taste": 1, "graph": 0, "text": 0},
    "graph alone": {"taste": 0, "graph": 1, "text": 0},
    "text alone": {"taste": 0, "graph": 0, "text": 1},
}


class Ratings:
    """All ratings of a folder, and which of them mean that the user likes the film."""

    def __init__(self, tables: MovieTables) -> None:
        self.table = tables.edges["rated"]
        self.users, self.user = _numbered(self.table["from"])
        self.films, self.film = _numbered(self.table["to"])
        self.liked = likes(self.user, self.table["rating"].cast("double").to_numpy())

    def split(self, rng: np.random.Generator) -> np.ndarray:
        """Return which ratings are held out: a share of those of each user's liked films."""
        held = np.zeros(len(self.user), bool)
        for user in range(len(self.users)):
            rows = np.flatnonzero(self.liked & (self.user == user))
            if len(rows) > 1:
                number = max(1, round(_SHARE * len(rows)))
                held[rng.choice(rows, number, replace=False)] = True
        return held

    def cold(self, rng: np.random.Generator) -> np.ndarray:
        """Return all ratings of a tenth of the films."""
        pool = np.flatnonzero(np.bincount(self.film) >= _LEAST)
        chosen = rng.choice(pool, round(_COLD * len(pool)), replace=False)
        return np.isin(self.film, chosen)

    def relevant(self, held: np.ndarray) -> dict[str, set[str]]:
        """Return, by user, the liked films that are held out."""
        found: dict[str, set[str]] = {}
        for row in np.flatnonzero(held & self.liked):
            found.setdefault(self.users[self.user[row]], set()).add(self.films[self.film[row]])
        return found


def _numbered(column: Any) -> tuple[list[str], np.ndarray]:
    names, numbers = np.unique(np.array(column.to_pylist(), str), return_inverse=True)
    return names.tolist(), numbers


@contextmanager
def recommender(
    tables: MovieTables, kept: pa.Table, vectors: tuple[list[Any], np.ndarray] | None
) -> Iterator[Recommender]:
    """Fill a store with the ratings ``kept``, and learn from them."""
    edges = {**tables.edges, "rated": kept}
    rest = MovieTables(tables.nodes, edges, tables.source)
    dimension = 384 if vectors is None else vectors[1].shape[1]
    with tempfile.TemporaryDirectory() as place:
        with create_store(place, movie_schema(dimension)) as writer:
            for _ in rest.write(writer):
                pass
            if vectors is not None:
                writer.set_vectors("Movie", VECTOR, *vectors)
        with open_store(place, threads=1) as store:
            start = time.perf_counter()
            tastes = learn(place, store).tastes
            print(f"  learned in {time.perf_counter() - start:.1f} s", flush=True)
            yield Recommender(Catalogue(store), tastes)


def evaluate(
    rank: Callable[[str], list[str]], relevant: Mapping[str, set[str]]
) -> tuple[float, float]:
    """Return the precision of the first picks, and the share of users with a hit."""
    hits = [len(films.intersection(rank(user))) for user, films in relevant.items()]
    return statistics.mean(hits) / _PICKS, statistics.mean(number > 0 for number in hits)


def show(results: Mapping[str, list[tuple[float, float]]]) -> None:
    print(f"{'':22} precision@{_PICKS}        hit rate")
    for name, rows in results.items():
        words = [
            f"{np.mean(column):.4f} ± {np.std(column):.4f}" for column in zip(*rows, strict=True)
        ]
        print(f"{name:22} {'   '.join(words)}")


def measure(
    films: Recommender, relevant: Mapping[str, set[str]], keys: list[str], among: np.ndarray | None
) -> dict[str, tuple[float, float]]:
    """Return the results of each method; only films ``among`` are ranked, if given."""
    picks: dict[str, dict[str, list[str]]] = {name: {} for name in METHODS}
    for user in relevant:
        signals = films.signals(films.history(user))
        for name, weights in METHODS.items():
            scores = sum(weight * signals[signal] for signal, weight in weights.items())
            scores = scores if among is None else np.where(among, scores, 0)
            best = np.argsort(-scores, kind="stable")[:_PICKS]
            picks[name][user] = [keys[film] for film in best if scores[film] > 0]
    return {name: evaluate(picks[name].__getitem__, relevant) for name in METHODS}


def popular(keys: list[str], kept: pa.Table, films: Recommender) -> Callable[[str], list[str]]:
    """Rank the films that a user has not rated by their number of ratings."""
    number = dict(
        zip(*np.unique(np.array(kept["to"].to_pylist()), return_counts=True), strict=True)
    )
    order = np.argsort([-number.get(key, 0) for key in keys], kind="stable")

    def rank(user: str) -> list[str]:
        rated = set(films.history(user).films.tolist())
        best = [film for film in order[: _PICKS + len(rated)].tolist() if film not in rated]
        return [keys[film] for film in best[:_PICKS]]

    return rank


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vectors", metavar="STORE", help="store to copy embeddings from")
    arguments = parser.parse_args()
    tables = read_source(arguments.folder)
    ratings = Ratings(tables)
    vectors = None
    if arguments.vectors:
        with open_store(arguments.vectors) as store:
            vectors = store.all_vectors("Movie", VECTOR)
    print(
        f"{len(ratings.users):,} users, {len(ratings.films):,} films, {len(ratings.user):,} ratings"
    )
    warm: dict[str, list[tuple[float, float]]] = {}
    cold: dict[str, list[tuple[float, float]]] = {}
    times: list[float] = []
    for number in range(arguments.splits):
        print(f"split {number + 1}")
        rng = np.random.default_rng([arguments.seed, number])
        for held, results in ((ratings.split(rng), warm), (ratings.cold(rng), cold)):
            kept = ratings.table.filter(pa.array(~held))
            left = set(np.array(ratings.users)[np.unique(ratings.user[~held])].tolist())
            relevant = {u: f for u, f in ratings.relevant(held).items() if u in left}
            with recommender(tables, kept, vectors) as films:
                keys = sorted(tables.nodes["Movie"]["id"].to_pylist())
                among = None
                if results is cold:
                    hidden = {ratings.films[film] for film in np.unique(ratings.film[held])}
                    among = np.array([key in hidden for key in keys])
                else:
                    rank = popular(keys, kept, films)
                    results.setdefault("popularity", []).append(evaluate(rank, relevant))
                    for user in list(relevant)[:_TIMED]:
                        start = time.process_time()
                        films.recommend(user, _PICKS)
                        times.append(time.process_time() - start)
                for name, result in measure(films, relevant, keys, among).items():
                    results.setdefault(name, []).append(result)
    print(f"\n{_SHARE:.0%} of each user's liked films held out, {arguments.splits} splits")
    show(warm)
    print(f"\nall ratings of {_COLD:.0%} of the films held out, ranked among themselves")
    show(cold)
    median, late = (f"{np.quantile(times, share) * 1e3:.1f} ms" for share in (0.5, 0.95))
    print(f"\nCPU time per answer: median {median}, 95% {late}")


if __name__ == "__main__":
    main()
