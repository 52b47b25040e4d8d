"""A film graph in a folder of Parquet files: movies, nodes, edges and ratings.

=================== ================================================================
``movies.parquet``  ``_key``, ``title``, ``overview``, ``tagline``, ``genres``, ...
``nodes.parquet``   ``_key``, ``name``, ``label``: people, genres, companies, users
``edges.parquet``   ``type``, ``from``, ``to``: ``hasActor``, ``hasGenre``, ...
``ratings.parquet`` ``user``, ``movie``, ``rating`` (0.5 to 5), ``timestamp``
=================== ================================================================

Labels, types and the columns of films may have any name of
:mod:`naiad.applications.movies.vocabulary`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from naiad.applications.movies.graph import MovieTables, movie_schema, year_of
from naiad.applications.movies.vocabulary import day, edge_table, names_of, node_table
from naiad.applications.store.schema import KEY, SOURCE, TARGET
from naiad.errors import InvalidInput

FILES: Final = ("movies.parquet", "nodes.parquet", "edges.parquet", "ratings.parquet")
"""The files, all of which are needed."""


def read_parquet(folder: Path) -> MovieTables:
    """Read the graph in a folder.

    Raises:
        InvalidInput: a file is missing, is not Parquet, or lacks a column.
    """
    movies, nodes, edges, ratings = (
        _read(folder / name, *columns)
        for name, columns in zip(
            FILES,
            (
                ("_key", "title"),
                ("_key", "name", "label"),
                ("type", "from", "to"),
                ("user", "movie", "rating", "timestamp"),
            ),
            strict=True,
        )
    )
    found = MovieTables({"Movie": movie_rows(movies)}, {}, str(folder))
    for label, rows in _by(nodes, "label").items():
        table = node_table(label or "")
        if table is None or table == "Movie":
            found.complaints.append(f"{rows.num_rows:,} nodes {label} left out: no such table")
            continue
        renamed = rows.select(["_key", "name"]).rename_columns([KEY, "name"])
        found.nodes[table] = _joined(found.nodes.get(table), renamed)
    for kind, rows in _by(edges, "type").items():
        edge = edge_table(kind or "")
        if edge is None or edge.table == "rated":
            found.complaints.append(f"{rows.num_rows:,} edges {kind} left out: no such table")
            continue
        ends = ["to", "from"] if edge.backwards else ["from", "to"]
        renamed = rows.select(ends).rename_columns([SOURCE, TARGET])
        found.edges[edge.table] = _joined(found.edges.get(edge.table), renamed)
    rated = ratings.select(["user", "movie", "rating", "timestamp"])
    found.edges["rated"] = rated.rename_columns([SOURCE, TARGET, "rating", "timestamp"])
    return found


def movie_rows(films: pa.Table) -> pa.Table:
    """Rename films' columns to the graph's properties; ``_key`` becomes ``id``."""
    columns: dict[str, Any] = {KEY: films["_key"]}
    for name in movie_schema().node("Movie").properties:
        column = next((each for each in names_of(name) if each in films.column_names), None)
        if column is not None:
            columns[name] = films[column]
    if "released" in columns:
        days = [day(released) for released in columns["released"].to_pylist()]
        columns["released"] = pa.array(days, pa.string())
        columns["year"] = pa.array([year_of(released) for released in days], pa.int64())
    return pa.table(columns)


def _joined(first: pa.Table | None, second: pa.Table) -> pa.Table:
    return second if first is None else pa.concat_tables([first, second])


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
    if not path.is_file():
        raise InvalidInput(f"{path} is missing; a knowledge graph has {', '.join(FILES)}")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(f"{path} cannot be read as Parquet: {error}") from error
    for column in columns:
        if column not in table.column_names:
            raise InvalidInput(f"{path} has no column {column!r}; it has {table.column_names}")
    return table
