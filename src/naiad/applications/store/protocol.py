"""What a graph store does, whichever database is behind it.

A :class:`Store` is read from, a :class:`Writer` also written to. What a writer has written is seen
by others when it is published, all at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from naiad.applications.store.filters import Where
from naiad.applications.store.schema import GraphSchema, Key
from naiad.core.schema import Array

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

Record: TypeAlias = "dict[str, Any]"
"""A node: its ``id`` and all its properties, None where it has none of a name."""
Direction: TypeAlias = Literal["out", "in", "both"]
"""Along edges, against them, or either way."""
Source: TypeAlias = "Path | pa.Table"
"""Rows to load: a parquet file or an Arrow table."""


@dataclass(frozen=True, slots=True)
class Link:
    """One edge.

    Attributes:
        edge: the name of its table.
        source: the key of its first node.
        target: the key of its second.
        properties: by name, None where it has none.
    """

    edge: str
    source: Key
    target: Key
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node that can be reached, in no fewer than so many ``hops``."""

    key: Key
    hops: int


@dataclass(frozen=True, slots=True)
class Route:
    """A path.

    Attributes:
        nodes: table and key of each node, first to last.
        edges: the table of each edge between them.
    """

    nodes: tuple[tuple[str, Key], ...]
    edges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Common:
    """A node with so many neighbours in ``common`` with some others."""

    key: Key
    common: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A node whose vector is near: ``score`` is the cosine, -1 to 1."""

    key: Key
    score: float


class Store(Protocol):
    """A graph to read from; a context manager, which closes it.

    Every method raises ``InvalidInput`` for tables, properties, keys or vectors that the schema
    does not have, and ``StoreError`` where the database cannot be asked. Several threads may use
    one store; they are served one after the other.
    """

    @property
    def schema(self) -> GraphSchema:
        """The tables of the graph."""
        ...

    def count(self, table: str, where: Where | None = None) -> int:
        """How many nodes there are."""
        ...

    def get(self, table: str, keys: Sequence[Key]) -> list[Record | None]:
        """The nodes with these keys, in their order; None for one that is not there."""
        ...

    def find(
        self,
        table: str,
        where: Where | None = None,
        *,
        order: str = "id",
        descending: bool = False,
        limit: int = 100,
    ) -> list[Record]:
        """Nodes by a property's order, then by key; those without the property come last."""
        ...

    def links(
        self,
        edge: str,
        keys: Sequence[Key],
        *,
        side: Literal["source", "target"] = "source",
        where: Where | None = None,
        limit: int = 100_000,
    ) -> list[Link]:
        """Edges whose source (or target) is among ``keys``, by source and target.

        ``where`` is of the edges' properties.
        """
        ...

    def neighbours(
        self,
        table: str,
        key: Key,
        to: str,
        edges: Sequence[str],
        *,
        direction: Direction = "both",
        hops: int = 1,
        where: Where | None = None,
        limit: int = 100,
    ) -> list[Neighbour]:
        """Nodes of table ``to`` within ``hops`` along ``edges``, the closest first, then by key.

        ``where`` is of the nodes' properties. The node itself is not among them.
        """
        ...

    def paths(
        self,
        start: tuple[str, Key],
        end: tuple[str, Key],
        edges: Sequence[str],
        *,
        direction: Direction = "both",
        hops: int = 4,
        limit: int = 10,
    ) -> list[Route]:
        """The shortest paths between two nodes, all of one length, at most ``hops`` edges long."""
        ...

    def common(
        self,
        table: str,
        keys: Sequence[Key],
        edges: Sequence[str],
        *,
        where: Where | None = None,
        limit: int = 100,
    ) -> list[Common]:
        """Other nodes of ``table`` by how many neighbours they share with any of ``keys``.

        Neighbours are those along ``edges``, either way. ``where`` is of the edges' properties and
        must hold for both edges.
        """
        ...

    def nearest(
        self,
        table: str,
        vector: str,
        query: Array,
        k: int = 10,
        *,
        where: Where | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The ``k`` nodes whose vector has the largest cosine with ``query``, float32 [length].

        Those that ``where`` refuses, or that have no vector, are not among them. Where the vector
        has an approximate index a few of the ``k`` may be missed, unless ``exact``; see
        :func:`naiad.applications.store.create_store`.
        """
        ...

    def vectors(self, table: str, vector: str, keys: Sequence[Key]) -> dict[Key, Array]:
        """The vectors, float32, of those of ``keys`` that have one."""
        ...

    def missing(self, table: str, vector: str) -> list[Key]:
        """The keys of nodes that have no such vector, in order."""
        ...

    def refresh(self) -> bool:
        """Look at what was published since; whether anything was."""
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Writer(Store, Protocol):
    """A graph to write to, by one writer at a time.

    Reading from a writer shows what it has written. The end of a ``with`` block publishes, unless
    an error ends it: then what was written since the last :meth:`publish` is dropped. In ArangoDB
    this holds for a store that is made anew; changes to one that is there are seen, and kept, as
    they are made.
    """

    def load_nodes(self, table: str, rows: Source) -> int:
        """Add nodes; how many.

        Columns are ``id`` and any of the table's properties and vectors. They are cast to the
        schema's types where nothing is lost.

        Raises:
            InvalidInput: a column is missing, unknown or of another type, or an ``id`` is there
                twice; the writer is then good for nothing but to be closed.
        """
        ...

    def load_edges(self, edge: str, rows: Source) -> int:
        """Add edges; how many. Columns are ``from``, ``to`` and any of the table's properties.

        Raises:
            InvalidInput: as :meth:`load_nodes`, or a node is not there.
        """
        ...

    def set_vectors(self, table: str, vector: str, keys: Sequence[Key], values: Array) -> None:
        """Set the vectors of nodes: float32 [keys, length].

        Raises:
            InvalidInput: another shape, or numbers that are not finite, or a node is not there.
        """
        ...

    def publish(self) -> None:
        """Let others see what was written, all at once; vectors of many nodes get an index."""
        ...
