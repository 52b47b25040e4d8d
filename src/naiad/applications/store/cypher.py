"""Ladybug's Cypher: query texts and their parameters.

Names in a text come from the schema and have only letters, digits and _; values are parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from naiad.applications.store.base import Direction
from naiad.applications.store.filters import Condition
from naiad.applications.store.schema import (
    KEY,
    SOURCE,
    TARGET,
    EdgeTable,
    GraphSchema,
    NodeTable,
    PropertyType,
)

Parameters = dict[str, Any]

_TYPES: Final[dict[PropertyType, str]] = {
    "string": "STRING",
    "int64": "INT64",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "strings": "STRING[]",
}

_OPERATORS: Final = {
    "=": "{0} = {1}",
    "!=": "{0} <> {1}",
    "<": "{0} < {1}",
    "<=": "{0} <= {1}",
    ">": "{0} > {1}",
    ">=": "{0} >= {1}",
    "between": "{0} >= {1}[1] AND {0} <= {1}[2]",  # lists begin at 1
    "in": "{0} IN {1}",
    "not in": "NOT {0} IN {1}",
    "has": "list_contains({0}, {1})",
}


def quoted(name: str) -> str:
    """Quote a name, which may be a keyword such as ``from``."""
    return f"`{name}`"


def create(schema: GraphSchema) -> Iterable[str]:
    """Yield the statements that create the tables."""
    for table in schema.nodes:
        columns = [f"{quoted(KEY)} {_TYPES[table.key]} PRIMARY KEY"]
        columns += [f"{quoted(name)} {_TYPES[kind]}" for name, kind in table.properties.items()]
        columns += [f"{quoted(name)} FLOAT[{size}]" for name, size in table.vectors.items()]
        yield f"CREATE NODE TABLE {quoted(table.name)} ({', '.join(columns)})"
    for edge in schema.edges:
        columns = [f"FROM {quoted(edge.source)} TO {quoted(edge.target)}"]
        columns += [f"{quoted(name)} {_TYPES[kind]}" for name, kind in edge.properties.items()]
        yield f"CREATE REL TABLE {quoted(edge.name)} ({', '.join(columns)})"


def plain(value: Any) -> Any:
    """Return a value as a parameter: any sequence as a list."""
    return value if isinstance(value, str) or not isinstance(value, Sequence) else list(value)


def terms(conditions: Sequence[Condition], parameters: Parameters, variable: str) -> Iterable[str]:
    """Yield conditions on a variable's properties; add their values to ``parameters``."""
    for condition in conditions:
        if condition.operator in ("in", "not in") and not condition.value:
            # An empty list has no type to compare a property with.
            yield "false" if condition.operator == "in" else "true"
            continue
        column = f"{variable}.{quoted(condition.property)}"
        if condition.operator == "missing":
            yield f"{column} IS NULL"
            continue
        name = f"{variable}_{len(parameters)}"
        parameters[name] = plain(condition.value)
        yield _OPERATORS[condition.operator].format(column, f"${name}")


def where(
    conditions: Sequence[Condition], parameters: Parameters, variable: str, *more: str
) -> str:
    """Return a WHERE clause of conditions on a variable and ``more`` conditions, or ""."""
    found = [*more, *terms(conditions, parameters, variable)]
    return f" WHERE {' AND '.join(found)}" if found else ""


def record(variable: str, columns: Iterable[str]) -> str:
    """Return the columns of a variable for a RETURN clause."""
    return ", ".join(f"{variable}.{quoted(column)}" for column in columns)


def arrow(edges: Sequence[EdgeTable], direction: Direction, hops: str = "", name: str = "e") -> str:
    """Return a pattern that matches edges of these tables."""
    kinds = "|".join(quoted(edge.name) for edge in edges)
    left, right = {"out": ("-", "->"), "in": ("<-", "-"), "both": ("-", "-")}[direction]
    return f"{left}[{name}:{kinds}{hops}]{right}"


def sides(edges: Sequence[EdgeTable], table: str) -> tuple[Direction, Direction]:
    """Return the directions from nodes of ``table`` along ``edges``, and back.

    A query that names the one possible direction is several times as fast.
    """
    if all(edge.source == table != edge.target for edge in edges):
        return "out", "in"
    if all(edge.source != table == edge.target for edge in edges):
        return "in", "out"
    return "both", "both"


def by_key(table: NodeTable) -> str:
    """Match the nodes ``n`` in ``$keys``, each by the primary key's index."""
    return f"UNWIND $keys AS key MATCH (n:{quoted(table.name)} {{{quoted(KEY)}: key}})"


def vectors_between(table: NodeTable, vector: str) -> str:
    """Return the keys and vectors of nodes ``$first`` to ``$last - 1`` that have a vector.

    Nodes are numbered in the order they were loaded; every ``$step``-th is taken.
    """
    number = "offset(id(n))"
    return (
        f"MATCH (n:{quoted(table.name)}) WHERE {number} >= $first AND {number} < $last "
        f"AND {number} % $step = 0 AND n.{quoted(vector)} IS NOT NULL "
        f"RETURN n.{quoted(KEY)} AS key, n.{quoted(vector)} AS vector"
    )


def links(
    edge: EdgeTable, side: str, conditions: Sequence[Condition], parameters: Parameters
) -> str:
    """Return ends and properties of ``$limit`` edges whose source (or target) is ``$key``."""
    here, there = ("a", "b") if side == "source" else ("b", "a")
    tables = {"a": edge.source, "b": edge.target}
    pattern = arrow([edge], "out" if side == "source" else "in")
    ends = [f"a.{quoted(KEY)}", f"b.{quoted(KEY)}"]
    columns = [*ends, *(f"e.{quoted(name)}" for name in edge.properties)]
    return (
        f"MATCH ({here}:{quoted(tables[here])} {{{quoted(KEY)}: $key}}){pattern}"
        f"({there}:{quoted(tables[there])}){where(conditions, parameters, 'e')} "
        f"RETURN {', '.join(columns)} ORDER BY {', '.join(ends)} LIMIT $limit"
    )


def degrees(
    edge: EdgeTable, side: str, conditions: Sequence[Condition], parameters: Parameters
) -> str:
    """Return the key of each source (or target) and the number of its edges."""
    end = "a" if side == "source" else "b"
    return (
        f"MATCH (a:{quoted(edge.source)})-[e:{quoted(edge.name)}]->(b:{quoted(edge.target)})"
        f"{where(conditions, parameters, 'e')} RETURN {end}.{quoted(KEY)}, count(*)"
    )


def keys(table: NodeTable) -> str:
    """Return all keys, in the order of the nodes' numbers."""
    return f"MATCH (n:{quoted(table.name)}) RETURN n.{quoted(KEY)} AS key ORDER BY offset(id(n))"


def ends(edge: EdgeTable, conditions: Sequence[Condition], parameters: Parameters) -> str:
    """Return the numbers of each edge's two nodes, and its properties."""
    columns = ["offset(id(a))", "offset(id(b))", *(f"e.{quoted(name)}" for name in edge.properties)]
    return (
        f"MATCH (a:{quoted(edge.source)})-[e:{quoted(edge.name)}]->(b:{quoted(edge.target)})"
        f"{where(conditions, parameters, 'e')} "
        f"RETURN {', '.join(columns)}"
    )


def all_links(edge: EdgeTable) -> str:
    """Return the keys of each edge's two nodes, and its properties."""
    columns = [f"a.{quoted(KEY)} AS {quoted(SOURCE)}", f"b.{quoted(KEY)} AS {quoted(TARGET)}"]
    columns += [f"e.{quoted(name)} AS {quoted(name)}" for name in edge.properties]
    return (
        f"MATCH (a:{quoted(edge.source)})-[e:{quoted(edge.name)}]->(b:{quoted(edge.target)}) "
        f"RETURN {', '.join(columns)}"
    )


def all_vectors(table: NodeTable, vector: str) -> str:
    """Return the keys and vectors of all nodes that have a vector, in the order of the nodes."""
    return (
        f"MATCH (n:{quoted(table.name)}) WHERE n.{quoted(vector)} IS NOT NULL "
        f"RETURN n.{quoted(KEY)} AS key, n.{quoted(vector)} AS vector ORDER BY offset(id(n))"
    )


def copy_nodes(table: NodeTable, columns: Sequence[str]) -> str:
    """Load ``$rows``, which has these columns, into a table."""
    names = ", ".join(map(quoted, columns))
    return f"COPY {quoted(table.name)} ({names}) FROM (LOAD FROM $rows RETURN {names})"


def copy_edges(edge: EdgeTable) -> str:
    """Load ``$rows``, which has all columns of an edge table."""
    names = ", ".join(map(quoted, (SOURCE, TARGET, *edge.properties)))
    return f"COPY {quoted(edge.name)} FROM (LOAD FROM $rows RETURN {names})"


def set_vectors(table: NodeTable, vector: str) -> str:
    """Set a vector of the nodes in ``$rows``."""
    return (
        f"LOAD FROM $rows MATCH (n:{quoted(table.name)} {{{quoted(KEY)}: {quoted(KEY)}}}) "
        f"SET n.{quoted(vector)} = {quoted(vector)}"
    )


def nearest(
    table: NodeTable, vector: str, conditions: Sequence[Condition], parameters: Parameters
) -> str:
    """Return the ``$k`` nodes with a vector nearest to ``$query``, among ``$keys`` if given."""
    column = f"n.{quoted(vector)}"
    length = table.length_of(vector)
    nodes = f"MATCH (n:{quoted(table.name)})"
    if "keys" in parameters:
        nodes = by_key(table)
    return (
        f"{nodes}"
        f"{where(conditions, parameters, 'n', f'{column} IS NOT NULL')} "
        f"RETURN n.{quoted(KEY)} AS key, "
        f"array_cosine_similarity({column}, CAST($query AS FLOAT[{length}])) AS score "
        "ORDER BY score DESC, key LIMIT $k"
    )
