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

from naiad.applications.movies import columns
from naiad.applications.movies.graph import MovieTables, movie_schema
from naiad.applications.movies.vocabulary import edge_table, film_properties, node_table
from naiad.applications.store.schema import KEY, SOURCE, TARGET
from naiad.errors import InvalidInput

FILES: Final = ("movies.parquet", "nodes.parquet", "edges.parquet", "ratings.parquet")
"""The files, all of which are needed."""

_TYPES: Final = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "strings": pa.list_(pa.string()),
}


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
    named = pa.table({KEY: columns.texts(nodes, "_key"), "name": columns.texts(nodes, "name")})
    for label, rows in _by(named, columns.texts(nodes, "label"), "nodes", found).items():
        table = node_table(label)
        if table is None or table == "Movie":
            found.complaints.append(f"{rows.num_rows:,} nodes {label} left out: no such table")
            continue
        found.nodes[table] = _joined(found.nodes.get(table), rows)
    ends = pa.table({SOURCE: columns.texts(edges, "from"), TARGET: columns.texts(edges, "to")})
    for kind, rows in _by(ends, columns.texts(edges, "type"), "edges", found).items():
        edge = edge_table(kind)
        if edge is None or edge.table == "rated":
            found.complaints.append(f"{rows.num_rows:,} edges {kind} left out: no such table")
            continue
        turned = rows.rename_columns([TARGET, SOURCE]) if edge.backwards else rows
        found.edges[edge.table] = _joined(found.edges.get(edge.table), turned)
    users, films = columns.texts(ratings, "user"), columns.texts(ratings, "movie")
    found.edges["rated"] = columns.ratings(users, films, ratings)
    return found


def movie_rows(films: pa.Table) -> pa.Table:
    """Return films with the graph's properties, and ``_key`` as ``id``."""
    properties = movie_schema().node("Movie").properties
    plain = pa.table({name: columns.plain(films, name) for name in films.column_names})
    rows = [film_properties(film) for film in plain.to_pylist()]
    found: dict[str, Any] = {KEY: columns.texts(films, "_key")}
    for name, kind in properties.items():
        values = [row[name] for row in rows]
        found[name] = pa.array(values, _TYPES[kind])
    return pa.table(found)


def _joined(first: pa.Table | None, second: pa.Table) -> pa.Table:
    if first is None:
        return second
    return pa.concat_tables([first, second.select(first.column_names)])


def _by(rows: pa.Table, labels: Any, what: str, found: MovieTables) -> dict[str, pa.Table]:
    """Group rows by their labels; those without a label are left out."""
    if lost := labels.null_count:
        found.complaints.append(f"{lost:,} {what} left out: they have no label")
    return {
        label: rows.filter(pc.call_function("equal", [labels, pa.scalar(label)]))
        for label in labels.unique().to_pylist()
        if label is not None
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
