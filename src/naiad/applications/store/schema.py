"""A graph's schema: node tables, edge tables, their properties and vectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from naiad.errors import InvalidInput, SchemaError

PropertyType: TypeAlias = Literal["string", "int64", "double", "bool", "strings"]
"""Types of properties; ``strings`` is a list of strings."""
KeyType: TypeAlias = Literal["string", "int64"]
Key: TypeAlias = str | int
"""The identifier of a node within its table."""

KEY: Final = "id"
"""The column and property that holds a node's key."""
SOURCE: Final = "from"
"""The column that holds the key of an edge's source."""
TARGET: Final = "to"
"""The column that holds the key of an edge's target."""

_MAX_DIMENSION = 65_536
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class NodeTable:
    """Nodes of one kind.

    Args:
        name: the name of the table, such as ``Movie``.
        properties: the properties' types by name; a node may lack any of them.
        key: the type of the property ``id``, which every node has and no two share.
        vectors: the lengths, by name, of the float32 vectors that a node may have.

    Raises:
        SchemaError: a name or type is not valid, or a name is used twice.
    """

    name: str
    properties: Mapping[str, PropertyType] = field(default_factory=dict[str, PropertyType])
    key: KeyType = "string"
    vectors: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        _check_columns(self.name, [KEY, *self.properties, *self.vectors], self.properties)
        if self.key not in get_args(KeyType):
            raise SchemaError(f"{self.name}: key={self.key!r}; it must be string or int64")
        for name, length in self.vectors.items():
            if not 1 <= length <= _MAX_DIMENSION:
                raise SchemaError(
                    f"{self.name}.{name} has {length} numbers; a vector has 1 to {_MAX_DIMENSION:,}"
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns other than vectors: ``id`` and the properties."""
        return (KEY, *self.properties)

    def type_of(self, name: str) -> PropertyType:
        """Return the type of ``id`` or of a property.

        Raises:
            InvalidInput: there is no such property.
        """
        if name == KEY:
            return self.key
        return _type_of(self.name, self.properties, name, self.columns)

    def length_of(self, vector: str) -> int:
        """Return the length of a vector.

        Raises:
            InvalidInput: there is no such vector.
        """
        if vector not in self.vectors:
            there = ", ".join(self.vectors) or "none"
            raise InvalidInput(f"{self.name} has no vector {vector!r}; it has {there}")
        return self.vectors[vector]


@dataclass(frozen=True, slots=True)
class EdgeTable:
    """Edges of one kind.

    Args:
        name: the name of the table, such as ``hasActor``.
        source: the table of each edge's first node.
        target: the table of each edge's second node.
        properties: the properties' types by name; an edge may lack any of them.

    Raises:
        SchemaError: a name or type is not valid, or a name is used twice.
    """

    name: str
    source: str
    target: str
    properties: Mapping[str, PropertyType] = field(default_factory=dict[str, PropertyType])

    def __post_init__(self) -> None:
        _check_columns(self.name, [SOURCE, TARGET, *self.properties], self.properties)

    def type_of(self, name: str) -> PropertyType:
        """Return the type of a property.

        Raises:
            InvalidInput: there is no such property.
        """
        return _type_of(self.name, self.properties, name, tuple(self.properties))


@dataclass(frozen=True, slots=True)
class GraphSchema:
    """All tables of a graph.

    Raises:
        SchemaError: two tables share a name, or an edge's node table is missing.
    """

    nodes: tuple[NodeTable, ...]
    edges: tuple[EdgeTable, ...] = ()

    def __post_init__(self) -> None:
        # Ignore case, because databases differ in it.
        names = [table.name.lower() for table in (*self.nodes, *self.edges)]
        for name in names:
            if names.count(name) > 1:
                raise SchemaError(f"two tables are called {name}")
        there = [table.name for table in self.nodes]
        for edge in self.edges:
            for end in (edge.source, edge.target):
                if end not in there:
                    raise SchemaError(
                        f"{edge.name} has nodes of {end!r}; the tables are {', '.join(there)}"
                    )

    def node(self, name: str) -> NodeTable:
        """Return the node table with this name.

        Raises:
            InvalidInput: there is no such table.
        """
        return _found("nodes", {table.name: table for table in self.nodes}, name)

    def edge(self, name: str) -> EdgeTable:
        """Return the edge table with this name.

        Raises:
            InvalidInput: there is no such table.
        """
        return _found("edges", {table.name: table for table in self.edges}, name)

    def to_json(self) -> dict[str, Any]:
        """Convert to values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> GraphSchema:
        """Invert :meth:`to_json`.

        Raises:
            SchemaError: ``value`` is not a schema.
        """
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise SchemaError(f"not a graph schema: {error}") from None


def check_key(table: NodeTable, key: Key) -> Key:
    """Return ``key``.

    Raises:
        InvalidInput: it is not of the table's type.
    """
    right = isinstance(key, str) if table.key == "string" else is_int64(key)
    if not right:
        raise InvalidInput(f"{key!r} is not an id of {table.name}; its ids are {table.key}")
    return key


def is_int64(value: object) -> bool:
    """Return whether a value is an integer that fits in 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _found(kind: str, tables: Mapping[str, Any], name: str) -> Any:
    if name not in tables:
        raise InvalidInput(f"no {kind} {name!r}; the graph has {', '.join(tables) or 'none'}")
    return tables[name]


def _type_of(
    table: str, properties: Mapping[str, PropertyType], name: str, there: tuple[str, ...]
) -> PropertyType:
    if name not in properties:
        raise InvalidInput(f"{table} has no property {name!r}; it has {', '.join(there) or 'none'}")
    return properties[name]


def _check_columns(table: str, columns: list[str], properties: Mapping[str, PropertyType]) -> None:
    # Names, unlike values, become part of a query's text.
    for name in (table, *columns):
        if not _NAME.fullmatch(name):
            raise SchemaError(
                f"{name!r} is not a valid name for a table or property: use a letter, then "
                "letters, digits or _, at most 63 in all"
            )
        if [column.lower() for column in columns].count(name.lower()) > 1:
            raise SchemaError(f"{table} has two columns named {name}")
    for name, kind in properties.items():
        if kind not in get_args(PropertyType):
            raise SchemaError(
                f"{table}.{name} has type {kind!r}; types are {', '.join(get_args(PropertyType))}"
            )
