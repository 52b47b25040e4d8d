"""A film graph in a folder of Parquet files: movies, nodes, edges and ratings.

=================== ================================================================
``movies.parquet``  ``_key``, ``title``, ``overview``, ``tagline``, ``genres``, ...
``nodes.parquet``   ``_key``, ``name``, ``label``: people, genres, companies, users
``edges.parquet``   ``type``, ``from``, ``to``: ``hasActor``, ``hasGenre``, ...
``ratings.parquet`` ``user``, ``movie``, ``rating`` (0.5 to 5), ``timestamp``
=================== ================================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from naiad.applications.movies.graph import MovieTables, movie_schema, year_of
from naiad.applications.store.schema import KEY, SOURCE, TARGET
from naiad.errors import InvalidInput

# Columns of the public data, by the name of our property.
RENAMED: Final = {
    "released": "releaseDate",
    "language": "originalLanguage",
    "collection": "movieCollectionName",
    "imdb_id": "imdbId",
    "tmdb_id": "tmdbId",
    "vote_average": "voteAverage",
    "vote_count": "voteCount",
    "runtime": "runTime",
}


def read_parquet(folder: Path) -> MovieTables:
    """Read the graph in a folder.

    Raises:
        InvalidInput: a file is missing, is not Parquet, or lacks a column.
    """
    nodes = _read(folder / "nodes.parquet", "_key", "name", "label")
    edges = _read(folder / "edges.parquet", "type", "from", "to")
    ratings = _read(folder / "ratings.parquet", "user", "movie", "rating", "timestamp")
    found = MovieTables(
        {"Movie": movie_rows(_read(folder / "movies.parquet", "_key", "title"))}, {}, str(folder)
    )
    schema = movie_schema()
    for label, rows in _by(nodes, "label").items():
        if label not in {table.name for table in schema.nodes}:
            found.complaints.append(f"{rows.num_rows:,} nodes {label} left out: no such table")
            continue
        found.nodes[label] = rows.select(["_key", "name"]).rename_columns([KEY, "name"])
    for kind, rows in _by(edges, "type").items():
        if kind not in {table.name for table in schema.edges}:
            found.complaints.append(f"{rows.num_rows:,} edges {kind} left out: no such table")
            continue
        found.edges[kind] = rows.select(["from", "to"]).rename_columns([SOURCE, TARGET])
    found.edges["rated"] = ratings.select(["user", "movie", "rating", "timestamp"]).rename_columns(
        [SOURCE, TARGET, "rating", "timestamp"]
    )
    return found


def movie_rows(films: pa.Table) -> pa.Table:
    """Rename films' columns to the graph's properties; ``_key`` becomes ``id``."""
    columns: dict[str, Any] = {KEY: films["_key"]}
    for name in movie_schema().node("Movie").properties:
        column = RENAMED.get(name, name)
        if column in films.column_names:
            columns[name] = films[column]
    if "released" in columns:
        years = [year_of(released) for released in columns["released"].to_pylist()]
        columns["year"] = pa.array(years, pa.int64())
    return pa.table(columns)


def _by(rows: pa.Table, column: str) -> dict[str, pa.Table]:
    """Group rows by the value of a column."""
    values = rows[column].unique().to_pylist()
    return {
        value: rows.filter(
            pc.call_function("equal", [rows[column], pa.scalar(value, rows[column].type)])
        )
        for value in values
    }


def _read(path: Path, *columns: str) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(f"{path} cannot be read as Parquet: {error}") from error
    for column in columns:
        if column not in table.column_names:
            raise InvalidInput(f"{path} has no column {column!r}; it has {table.column_names}")
    return table
