"""Checks of a store's arguments, made before a database sees them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from naiad.applications.store.schema import EdgeTable, GraphSchema, Key, NodeTable, check_key
from naiad.core.schema import Array
from naiad.errors import InvalidInput

MOST_ROWS: Final = 1_000_000
"""Maximum number of rows of one answer, which is held in memory."""
MOST_HOPS: Final = 10

_CHUNK: Final = 4_096  # vectors checked at once
_SHORTEST: Final = 1e-15
_LONGEST: Final = 1e15
# Lengths of vectors, other than 0, whose cosines are right in float32: of shorter and longer ones
# the squares are 0 or infinite, and Ladybug 0.22 gives 1 for any two such vectors.


def check_limit(limit: int, name: str = "limit") -> int:
    """Return ``limit``, a number of rows.

    Raises:
        InvalidInput: it is below 1 or above :data:`MOST_ROWS`.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidInput(f"{name} is {limit:,}; it must be 1 to {MOST_ROWS:,}")
    return limit


def check_hops(hops: int) -> int:
    """Return ``hops``, the maximum length of a path.

    Raises:
        InvalidInput: it is below 1 or above :data:`MOST_HOPS`.
    """
    if not 1 <= hops <= MOST_HOPS:
        raise InvalidInput(f"hops is {hops}; it must be 1 to {MOST_HOPS}")
    return hops


def check_keys(table: NodeTable, keys: Iterable[Key]) -> list[Key]:
    """Return the distinct keys, in order.

    Raises:
        InvalidInput: a key is not of the table's type.
    """
    return list(dict.fromkeys(check_key(table, key) for key in keys))


def check_edges(schema: GraphSchema, edges: Sequence[str]) -> list[EdgeTable]:
    """Return the edge tables with these names.

    Raises:
        InvalidInput: a table does not exist, or no name is given.
    """
    if isinstance(edges, str) or not edges:
        raise InvalidInput(f"edges is {edges!r}; give a list of edge tables")
    return [schema.edge(name) for name in edges]


def check_query(table: NodeTable, vector: str, query: Array) -> Array:
    """Return the direction to compare with, float32 of length 1.

    Raises:
        InvalidInput: its length is wrong, a number is not finite, or all are zero.
    """
    length = table.length_of(vector)
    query = np.asarray(query)
    if query.shape != (length,) or query.dtype.kind not in "fiu":
        raise InvalidInput(
            f"the query is {query.dtype} {list(query.shape)}; {table.name}.{vector} is float32 "
            f"[{length}]"
        )
    query = query.astype(np.float64)
    if not np.isfinite(query).all():
        raise InvalidInput("the query has numbers that are not finite")
    if not query.any():
        raise InvalidInput("the query is all zeros, so it has no direction to compare with")
    query /= np.abs(query).max()  # its square might be infinite
    return (query / np.linalg.norm(query)).astype(np.float32)


def check_values(table: NodeTable, vector: str, keys: Sequence[Key], values: Array) -> Array:
    """Return the vectors to set, float32 [keys, length].

    Raises:
        InvalidInput: the shape is wrong, a key occurs twice, or a number is not finite.
    """
    length = table.length_of(vector)
    values = np.asarray(values)
    if values.shape != (len(keys), length) or values.dtype.kind != "f":
        raise InvalidInput(
            f"the vectors are {values.dtype} {list(values.shape)}; for {len(keys):,} keys "
            f"{table.name}.{vector} is float32 [{len(keys)}, {length}]"
        )
    if len(check_keys(table, keys)) != len(keys):
        raise InvalidInput("a key is given twice")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused
        values = np.ascontiguousarray(values, np.float32)
    check_lengths(keys, values)
    return values


def check_lengths(keys: Sequence[Key], vectors: Array) -> None:
    """Check that the cosine of each vector with another can be computed.

    Args:
        keys: the keys of the vectors' nodes.
        vectors: float32 [keys, length].

    Raises:
        InvalidInput: a vector has a number that is not finite, or is too short or too long for its
            square to be one in float32.
    """
    for start in range(0, len(keys), _CHUNK):
        lengths = np.linalg.norm(vectors[start : start + _CHUNK].astype(np.float64), axis=1)
        right = (lengths == 0) | ((lengths >= _SHORTEST) & (lengths <= _LONGEST))
        if right.all():
            continue
        row = int(np.argmin(right))
        key, length = keys[start + row], lengths[row]
        if not np.isfinite(length):
            raise InvalidInput(f"the vector of {key!r} has numbers that are not finite")
        raise InvalidInput(
            f"the vector of {key!r} has length {length:.3g}; it must be 0 or {_SHORTEST:g} to "
            f"{_LONGEST:g}, so that its cosine can be computed in float32: scale the vectors"
        )
