"""Removal of rows that a film graph cannot have, whatever they were read from; each is reported."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from naiad.applications.movies.graph import MovieTables, movie_schema
from naiad.applications.store.schema import KEY, SOURCE, TARGET
from naiad.errors import InvalidInput

MOST_STARS: Final = 5


def clean(tables: MovieTables) -> MovieTables:
    """Drop nodes without a key of their own, edges to missing nodes, and ratings without a number.

    Raises:
        InvalidInput: there are no films.
    """
    for name, rows in tables.nodes.items():
        tables.nodes[name] = _distinct(tables, name, rows)
    if "Movie" not in tables.nodes or not tables.nodes["Movie"].num_rows:
        raise InvalidInput(f"{tables.source} has no films")
    for name, edges in tables.edges.items():
        tables.edges[name] = _joined(tables, name, edges)
    if (rated := tables.edges.get("rated")) is not None:
        tables.edges["rated"] = _rated(tables, rated)
    return tables


def _distinct(tables: MovieTables, name: str, rows: pa.Table) -> pa.Table:
    """Return nodes with a key, the first of each."""
    rows = rows.set_column(rows.column_names.index(KEY), KEY, rows[KEY].cast(pa.string()))
    there = rows.filter(pc.call_function("is_valid", [rows[KEY]]))
    if lost := rows.num_rows - there.num_rows:
        tables.complaints.append(f"{lost:,} {name} nodes left out: they have no key")
    kept = _first(there, [KEY])
    if lost := there.num_rows - kept.num_rows:
        tables.complaints.append(f"{lost:,} repeated {name} nodes; the first of each was kept")
    return kept


def _joined(tables: MovieTables, name: str, edges: pa.Table) -> pa.Table:
    """Return the edges between nodes that exist."""
    table = movie_schema().edge(name)
    kept = edges
    for column, end in ((SOURCE, table.source), (TARGET, table.target)):
        keys = tables.nodes[end][KEY] if end in tables.nodes else pa.nulls(0)
        there = pc.SetLookupOptions(value_set=keys.cast(pa.string()))
        ends = kept[column].cast(pa.string())
        kept = kept.filter(pc.call_function("is_in", [ends], there))
    if lost := edges.num_rows - kept.num_rows:
        tables.complaints.append(
            f"{lost:,} of {edges.num_rows:,} edges {name} left out: their {table.source} or "
            f"{table.target} is missing"
        )
    return kept


def _rated(tables: MovieTables, edges: pa.Table) -> pa.Table:
    """Return the edges with a rating, of each user's ratings of a film the latest."""
    given = edges.filter(pc.call_function("is_finite", [edges["rating"].cast("double")]))
    if lost := edges.num_rows - given.num_rows:
        tables.complaints.append(
            f"{lost:,} of {edges.num_rows:,} edges rated left out: they have no rating"
        )
    kept = given
    if "timestamp" in given.column_names:
        newest = pc.call_function(
            "sort_indices", [given], pc.SortOptions([("timestamp", "descending")])
        )
        kept = _first(given, [SOURCE, TARGET], newest)
    else:
        kept = _first(given, [SOURCE, TARGET])
    if lost := given.num_rows - kept.num_rows:
        tables.complaints.append(
            f"{lost:,} of {given.num_rows:,} edges rated left out: the user rated the film again"
        )
    if kept.num_rows:
        least, most = pc.call_function("min_max", [kept["rating"]]).as_py().values()
        if least < 0 or most > MOST_STARS:
            tables.complaints.append(
                f"ratings are from {least:g} to {most:g}; recommendations expect 0.5 to "
                f"{MOST_STARS}: rescale them"
            )
    return kept


def _first(rows: pa.Table, columns: list[str], order: Any = None) -> pa.Table:
    """Return the first of the rows that are equal in ``columns``, in the order of the rows.

    Args:
        rows: the rows.
        columns: names of columns.
        order: row numbers; the first in this order is kept. By default, that of the rows.
    """
    if order is None:
        order = pa.array(range(rows.num_rows), pa.int64())
    place = pa.table({name: rows[name] for name in columns}).take(order)
    place = place.append_column("row", order.cast(pa.int64()))
    found = place.group_by(columns, use_threads=False).aggregate([("row", "first")])
    if found.num_rows == rows.num_rows:
        return rows
    return rows.take(found["row_first"].combine_chunks().sort())
