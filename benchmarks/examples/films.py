"""Films by description: the workshop's client embeds it and compares it with all films."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from benchmarks.examples.case import Case, Different, Way, Ways
from benchmarks.examples.encoder import EncoderClient, save
from benchmarks.examples.repository import FREE, example_server

import naiad
from naiad.applications.movies.commands import embed_store
from naiad.applications.movies.graph import DIMENSION, VECTOR, MovieTables, movie_schema
from naiad.applications.movies.place import VARIABLE
from naiad.applications.movies.sample import sample_tables
from naiad.applications.store import create_store, open_store
from naiad.core.schema import Arrays

_FILMS, _FEW = 9_000, 300  # as many as the public graph has; and to try it
_QUESTIONS = 32
_PLOT, _QUERY = 25, 12  # words
_SHOWN = 10
_ALIKE = (
    0.9  # least share of questions whose best film Naiad shows, which weighs words and fame, too
)


def invented(films: int) -> MovieTables:
    """Return Naiad's sample with more films, whose plots are words of the sample's."""
    rng = np.random.default_rng(0)
    tables = sample_tables()
    movies = tables.nodes["Movie"]
    words = sorted({word for plot in movies["overview"].to_pylist() for word in plot.split()})
    keys = [f"g{number}" for number in range(films - len(movies))]
    more = {
        "id": keys,
        "title": [f"Invented {number}" for number in range(len(keys))],
        "year": [int(year) for year in rng.integers(1950, 2025, len(keys))],
        "overview": [" ".join(rng.choice(words, _PLOT)) for _ in keys],
        "genres": [[] for _ in keys],
    }
    every = pa.concat_tables([movies, pa.table(more, movies.schema)])
    return MovieTables({**tables.nodes, "Movie": every}, tables.edges, tables.source, tables.notice)


@contextmanager
def start(scratch: Path, small: bool) -> Iterator[Ways]:
    where = str(scratch / "films")
    tables = invented(_FEW if small else _FILMS)
    with create_store(where, movie_schema(DIMENSION)) as writer:
        for _ in tables.write(writer):
            pass
    with naiad.serve("text_embedding", **FREE) as server:
        embed_store(where, server.grpc_url, 8)
    with open_store(where) as store:
        films = store.find("Movie", limit=_FILMS)
        names, vectors = store.all_vectors("Movie", VECTOR)
    keys = np.array([str(name).encode() for name in names], object)
    picked = np.random.default_rng(1).choice(len(films), 4 if small else _QUESTIONS, replace=False)
    texts = [" ".join(films[number]["overview"].split()[:_QUERY]) for number in picked]
    with (
        example_server(
            "sentence_bert", "torchscript.py", {"file": str(save(scratch))}, small=small
        ) as (example, model),
        patch.dict("os.environ", {VARIABLE: where}),
        naiad.serve("movies_search", **FREE) as ours,
    ):
        embed = EncoderClient(model)

        async def ask(client: naiad.AsyncClient, text: str) -> Arrays:
            (vector,) = await embed(client, [text])
            cosines = vectors @ vector
            return {"id": keys[np.argsort(-cosines, kind="stable")[:_SHOWN]]}

        requests: list[Arrays] = [
            {"text": np.array([text.encode()], object), "k": np.array([_SHOWN], np.int32)}
            for text in texts
        ]
        yield Ways(
            Way(example, texts, ask),
            Way.plain(ours, "movies_search", requests),
            f"{len(texts)} questions of {_QUERY} words of a plot to {len(films):,} invented films, "
            "all-MiniLM-L6-v2",
        )


def compare(example: Sequence[Arrays], ours: Sequence[Arrays]) -> str:
    """Look for the example's best films among Naiad's."""
    pairs = [(one["id"][0], other["id"]) for one, other in zip(example, ours, strict=True)]
    shown = sum(best in found for best, found in pairs)
    if shown < _ALIKE * len(pairs):
        raise Different(
            f"the best film is among Naiad's {_SHOWN} for only {shown} of {len(pairs)} questions"
        )
    same = sum(best == found[0] for best, found in pairs)
    return (
        f"the best film is among Naiad's {_SHOWN} for {shown} of {len(pairs)} questions, and its "
        f"best for {same}"
    )


CASES = (
    Case(
        "films",
        "film search",
        "a TorchScript encoder, the text padded to 256 tokens; the cosine with each film's vector "
        "is computed by NumPy instead of the workshop's database, which takes longer",
        start,
        compare,
        5.0,
    ),
)
