"""Columns of film graphs' tables, of whatever types, as the graph's own types."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from naiad.applications.movies.vocabulary import number, seconds, text
from naiad.applications.store.schema import SOURCE, TARGET
from naiad.errors import InvalidInput

# NumPy's units of pandas' periods: days, months and years.
_PERIODS: Final = {"D": "D", "M": "M", "Y": "Y", "A": "Y"}
_LATE: Final = 100_000_000_000  # from here on a time is in milliseconds, as in vocabulary.seconds


def plain(table: pa.Table, name: str) -> Any:
    """Return a column without dictionaries, nanoseconds and pandas' own types.

    Times in a zone that this system does not know are in UTC.

    Raises:
        InvalidInput: it has periods other than days, months and years.
    """
    column = table[name]
    length = _period(table.schema.field(name))
    if isinstance(column.type, pa.BaseExtensionType):
        kind = column.type.storage_type
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind)
    if length is not None:
        column = _begins(column, length, name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_timestamp(column.type):
        zone = column.type.tz
        kept = zone if zone is None or _is_zone(zone) else None
        column = column.cast(pa.timestamp("us", kept), safe=False)
    return column


def _is_zone(name: str) -> bool:
    """Return whether this system knows a time zone."""
    try:
        pa.array([0], pa.timestamp("s", name)).to_pylist()
    except (KeyError, ValueError):
        return False
    return True


def texts(table: pa.Table, name: str) -> Any:
    """Return a column of keys or names as text: 1 and 1.0 are ``1``; what is neither is null."""
    column = plain(table, name)
    if not (pa.types.is_integer(column.type) or _is_text(column.type)):
        return pa.chunked_array([pa.array(map(text, column.to_pylist()), pa.string())])
    return column.cast(pa.string())


def ratings(users: Any, films: Any, table: pa.Table) -> pa.Table:
    """Return edges ``rated``.

    Args:
        users: the keys of the users.
        films: the keys of the films.
        table: a table with the columns ``rating``, numbers or their text, and ``timestamp``, times
            or numbers of seconds or milliseconds since 1970, or their text.
    """
    found = plain(table, "rating")
    if pa.types.is_integer(found.type) or pa.types.is_floating(found.type):
        rating = found.cast(pa.float64())
    else:
        rating = pa.array(map(number, found.to_pylist()), pa.float64())
    times = plain(table, "timestamp")
    if not pa.types.is_integer(times.type) or (
        (pc.call_function("max", [times]).as_py() or 0) >= _LATE
    ):
        times = pa.array(map(seconds, times.to_pylist()), pa.int64())
    columns = {SOURCE: users, TARGET: films, "rating": rating, "timestamp": times}
    return pa.table(columns)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


def _period(field: pa.Field) -> str | None:
    """Return the length of pandas' periods; without pandas, they are integers with metadata."""
    frequency = getattr(field.type, "freq", None)
    about = field.metadata or {}
    if frequency is None and about.get(b"ARROW:extension:name") == b"pandas.period":
        frequency = json.loads(about[b"ARROW:extension:metadata"])["freq"]
    return frequency


def _begins(column: Any, length: str, name: str) -> Any:
    unit = _PERIODS.get(length.partition("-")[0])
    if unit is None:
        raise InvalidInput(f"{name} has pandas' periods of length {length!r}; write dates instead")
    days = [
        None if each is None else np.datetime64(each, unit).astype("M8[D]").item()
        for each in column.to_pylist()
    ]
    return pa.chunked_array([pa.array(days, pa.date32())])
