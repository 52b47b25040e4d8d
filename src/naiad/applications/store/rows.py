"""Rows to load, from Parquet files and Arrow tables, cast to a table's schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from naiad.applications.store.base import Source
from naiad.applications.store.checks import check_lengths
from naiad.applications.store.schema import KEY, SOURCE, TARGET, EdgeTable, GraphSchema, NodeTable
from naiad.errors import InvalidInput, MissingExtra

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as error:
    raise MissingExtra("store", "pyarrow") from error

# Size of a load. Ladybug 0.22 holds several times as much: with 256 MB at once its buffer of 512 MB
# was full.
_CHUNK_BYTES: Final = 64 << 20
_PROPERTY_BYTES: Final = 64  # estimated size of one property of a row

_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "strings": pa.list_(pa.string()),
}


def node_rows(table: NodeTable, rows: Source) -> Iterator[pa.Table]:
    """Yield rows of nodes in chunks.

    Raises:
        InvalidInput: the file is not Parquet, a column is missing, unknown or of another type, or a
            vector has no cosine with others.
    """
    types = {name: _TYPES[table.type_of(name)] for name in table.columns}
    types |= {name: pa.list_(pa.float32(), length) for name, length in table.vectors.items()}
    row_bytes = _PROPERTY_BYTES * len(table.columns) + 4 * sum(table.vectors.values())
    for chunk in _cast(table.name, types, (KEY,), rows, row_bytes):
        for name, length in table.vectors.items():
            if name in chunk.column_names:
                there = chunk.filter(chunk[name].is_valid())
                flat = there[name].combine_chunks().flatten()
                vectors = flat.to_numpy(zero_copy_only=False).reshape(-1, length)
                check_lengths(there[KEY].to_pylist(), vectors)
        yield chunk


def edge_rows(schema: GraphSchema, table: EdgeTable, rows: Source) -> Iterator[pa.Table]:
    """Yield rows of edges with all columns, in chunks; raises as :func:`node_rows`."""
    types = {
        SOURCE: _TYPES[schema.node(table.source).key],
        TARGET: _TYPES[schema.node(table.target).key],
        **{name: _TYPES[kind] for name, kind in table.properties.items()},
    }
    for chunk in _cast(table.name, types, (SOURCE, TARGET), rows, _PROPERTY_BYTES * len(types)):
        # Ladybug requires all properties of an edge; they may be null.
        there = {name: chunk[name] for name in chunk.column_names}
        yield pa.table(
            {name: there.get(name, pa.nulls(chunk.num_rows, kind)) for name, kind in types.items()}
        )


def vector_rows(table: NodeTable, vector: str, keys: list[Any], values: Any) -> pa.Table:
    """Return a table of keys and their vectors, float32 [keys, length]."""
    flat = pa.array(values.ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, table.length_of(vector))
    return pa.table({KEY: pa.array(keys, _TYPES[table.key]), vector: column})


def _cast(
    table: str, types: dict[str, Any], needed: tuple[str, ...], rows: Source, row_bytes: int
) -> Iterator[pa.Table]:
    size = max(1, _CHUNK_BYTES // row_bytes)
    place = f"{rows}" if isinstance(rows, Path) else "the table"
    for chunk in _chunks(rows, size):
        for name in chunk.column_names:
            if name not in types:
                raise InvalidInput(f"{place} has a column {name!r}; {table} has {', '.join(types)}")
        for name in needed:
            if name not in chunk.column_names:
                raise InvalidInput(f"{place} has no column {name!r}, which {table} needs")
            if chunk[name].null_count:
                raise InvalidInput(f"{place}: {name} is missing in {chunk[name].null_count:,} rows")
        columns: dict[str, Any] = {}
        for name, kind in types.items():
            if name not in chunk.column_names:
                continue
            try:
                columns[name] = chunk[name].cast(kind)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise InvalidInput(
                    f"{place}: {name} is {chunk[name].type}; {table} needs {kind}: {error}"
                ) from None
        yield pa.table(columns)


def _chunks(rows: Source, size: int) -> Iterator[pa.Table]:
    if not isinstance(rows, Path):
        for start in range(0, rows.num_rows, size):
            yield rows.slice(start, size)
        return
    try:
        with pq.ParquetFile(rows) as file:
            for batch in file.iter_batches(size):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(f"{rows} cannot be read as Parquet: {error}") from error
