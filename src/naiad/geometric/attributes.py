"""Attributes of a PyTorch Geometric graph as tensors of a schema.

Each tensor of a ``Data`` or ``HeteroData`` becomes an input: ``x``, or ``paper__x`` and
``author__writes__paper__edge_index`` where there are several types. Dimensions and the indices into
them come from the graph's own ``__cat_dim__`` and ``__inc__``, which say how PyTorch Geometric
merges graphs (Fey and Lenssen, arXiv:1903.02428), so that subclasses which override them are merged
as they say.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.storage import EdgeStorage, NodeStorage
from torch_geometric.utils import is_sparse

from naiad.core.merging import Batch as MergedBatch
from naiad.core.schema import REQUESTS, TRITON_NAMES, Tensor, input_name
from naiad.errors import SchemaError

Graph: TypeAlias = "Data | HeteroData"
StoreKey: TypeAlias = "str | tuple[str, str, str] | None"

_DERIVED: Final = ("batch", "ptr", "num_nodes")
"""Attributes that the server works out."""

_INSTEAD: Final = "give tensors, such as edge_index in place of adj_t, and a number for each word"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One tensor of a graph.

    Attributes:
        name: of the input.
        store: node type, edge type, or None in a ``Data``.
        key: its name in the store.
        tensor: dtype, dimensions and indices.
    """

    name: str
    store: StoreKey
    key: str
    tensor: Tensor

    @property
    def has_own_rows(self) -> bool:
        """Whether its rows are neither nodes nor edges nor one for each graph."""
        return input_name(self.store, self.key.removesuffix("_index")) in self.tensor.dims


@dataclass(frozen=True, slots=True)
class GraphType:
    """What all graphs of a kind have in common.

    Attributes:
        kind: ``Data``, ``HeteroData`` or a subclass of one.
        attributes: the tensors.
        nodes: dimension of the nodes of each store that has nodes.
        unsent: attributes that cannot be sent, and what they are.
    """

    kind: type[Any]
    attributes: tuple[Attribute, ...]
    nodes: Mapping[StoreKey, str]
    unsent: Mapping[str, str] = field(default_factory=dict[str, str])

    def hint(self, error: Exception) -> str:
        """Say which attribute that cannot be sent an error is about, or ""."""
        return self.why_missing(one for one in self.unsent if repr(one) in str(error))

    def why_missing(self, names: Iterable[str]) -> str:
        """Say which of these attributes the example has, but cannot be sent; or ""."""
        found = [f"{one} is {self.unsent[one]}" for one in names if one in self.unsent]
        if not found:
            return ""
        return f"; {', '.join(found)}, which cannot be sent: {_INSTEAD}"

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The schema."""
        return {one.name: one.tensor for one in self.attributes}

    def only(self, names: set[str]) -> GraphType:
        """Return the type without all other attributes, but for one per kind of node."""
        kept = {one.name for one in self.attributes if one.name in names}
        there = {d for one in self.attributes if one.name in kept for d in one.tensor.names}
        for one in self.attributes:  # the number of nodes must be known
            if one.tensor.names and one.tensor.names[0] in {*self.nodes.values()} - there:
                kept.add(one.name)
                there.add(one.tensor.names[0])
        attributes = tuple(one for one in self.attributes if one.name in kept)
        nodes = {store: dim for store, dim in self.nodes.items() if dim in there}
        return GraphType(self.kind, attributes, nodes, self.unsent)

    def arrays(self, graph: Graph) -> dict[str, Any]:
        """Return the tensors of one graph, by input name, as the schema has them."""
        return {
            one.name: _with_dims(_store(graph, one.store)[one.key], one.tensor)
            for one in self.attributes
        }

    def merged(self, batch: MergedBatch) -> Any:
        """Return merged requests as PyTorch Geometric's ``Batch`` of them."""
        graph: Any = Batch(_base_cls=self.kind)
        graph._num_graphs = batch.requests
        for one in self.attributes:
            _store(graph, one.store)[one.key] = batch[one.name]
        for store, dim in self.nodes.items():
            there = _store(graph, store)
            there.batch = batch.index(dim)
            there.ptr = ends(batch, dim)
            there.num_nodes = batch.total(dim)
        return graph


def graph_type(example: Graph) -> GraphType:
    """Derive inputs from an example.

    Raises:
        SchemaError: an attribute cannot be sent, or the example has no rows of some dimension.
    """
    found = [*_tensors(example)]
    for name, store, key, value in found:
        axis = example.__cat_dim__(key, value, _store(example, store))
        if axis is not None and value.ndim and not value.shape[axis]:
            raise SchemaError(
                f"{name} of the example has shape {[*value.shape]}; its dimension {axis} must have "
                "some rows, so that the outputs show what they have a row for"
            )
    if not found:
        raise SchemaError("the example has no tensors; give a graph as the network takes it")
    dims = {name: _dims(example, store, key, value) for name, store, key, value in found}
    indices = {
        name: _targets(example, found, dims, name, store, key) for name, store, key, _ in found
    }
    attributes = tuple(
        Attribute(name, store, key, _declare(name, value, dims[name], indices[name]))
        for name, store, key, value in found
    )
    nodes = {key: dim for key, dim in _node_dims(example).items() if _has(attributes, dim)}
    for one in attributes:
        for target in one.tensor.index_targets():
            if not _has(attributes, target):
                raise SchemaError(
                    f"{one.name} has positions of {target}, but no attribute has a row for each of "
                    f"those; add one, such as x = torch.ones(num_nodes, 1)"
                )
    return GraphType(type(example), attributes, nodes, _unsent(example))


def _store(graph: Any, key: StoreKey) -> Any:
    if key is not None:
        return graph[key]
    return graph._global_store if isinstance(graph, HeteroData) else graph._store


def _tensors(graph: Graph) -> Iterator[tuple[str, StoreKey, str, Any]]:
    """Yield name, store, key and value of all that can be sent."""
    keys: list[StoreKey] = [None]
    if isinstance(graph, HeteroData):
        keys += [*graph.node_types, *graph.edge_types]
    for store in keys:
        for key, value in _store(graph, store).items():
            name = input_name(store, key)
            if key in _DERIVED or value is None:
                continue
            if isinstance(value, bool | int | float):
                value = torch.tensor(value)
            if isinstance(value, torch.Tensor) and not is_sparse(value):
                yield name, store, key, value.as_subclass(torch.Tensor)


def _unsent(graph: Graph) -> dict[str, str]:
    """Return the attributes that are no dense tensors, by key."""
    return {
        key: "a sparse tensor" if is_sparse(value) else f"a {type(value).__name__}"
        for store in graph.stores
        for key, value in store.items()
        if value is not None
        and key not in _DERIVED
        and (is_sparse(value) or not isinstance(value, torch.Tensor | bool | int | float))
    }


def _node_dims(graph: Graph) -> dict[StoreKey, str]:
    if isinstance(graph, HeteroData):
        return {key: key for key in graph.node_types}
    return {None: "nodes"}


def _dims(graph: Graph, store: StoreKey, key: str, value: Any) -> tuple[int | str, ...]:
    """Return the dims of an attribute: a name where graphs are merged, sizes elsewhere."""
    there = _store(graph, store)
    axis = graph.__cat_dim__(key, value, there)
    if axis is None:
        return tuple(value.shape)
    if not value.ndim:
        return (REQUESTS,)
    name, rows = input_name(store, key.removesuffix("_index")), value.shape[axis]
    nodes = _node_count(there) if isinstance(there, NodeStorage) else None
    edges = there.num_edges if isinstance(there, EdgeStorage) else None
    if rows == edges and ("edge" in key or edges != nodes) and not key.startswith("edge_label"):
        name = "edges" if store is None else "__".join(store)
    elif rows == nodes:
        name = "nodes" if store is None else str(store)
    elif rows == 1 and "index" not in key:
        name = REQUESTS
    dims: list[int | str] = list(value.shape)
    dims[axis] = name
    return tuple(dims)


def _node_count(store: Any) -> int | None:
    """Return the number of nodes, or None where PyTorch Geometric could only guess it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            return store.num_nodes
        except UserWarning:
            return None


def _targets(
    graph: Graph,
    found: list[tuple[str, StoreKey, str, Any]],
    dims: Mapping[str, tuple[int | str, ...]],
    name: str,
    store: StoreKey,
    key: str,
) -> str | tuple[str, ...] | None:
    """Return the dimensions whose positions an attribute holds: those its increment grows with."""
    before = _increment(graph, store, key)
    if not before.any():
        return None
    rows: list[str] = [""] * before.numel()
    known = [d for shape in dims.values() for d in shape if isinstance(d, str) and d != REQUESTS]
    for dim in dict.fromkeys([*known, *_node_dims(graph).values()]):
        larger = _grown(graph, found, dims, dim)
        change = _increment(larger, store, key) - before
        for row, grows in enumerate(change.flatten().tolist()):
            rows[row] = dim if grows == 1 else rows[row]
    if not all(rows):
        raise SchemaError(
            f"{name}: __inc__ is {before.flatten().tolist()}, which is not the size of a dimension "
            f"({', '.join(dict.fromkeys(known))})"
        )
    return rows[0] if len(set(rows)) == 1 and before.numel() == 1 else tuple(rows)


def _increment(graph: Graph, store: StoreKey, key: str) -> torch.Tensor:
    there = _store(graph, store)
    return torch.as_tensor(graph.__inc__(key, there[key], there))


def _grown(
    graph: Graph,
    found: list[tuple[str, StoreKey, str, Any]],
    dims: Mapping[str, tuple[int | str, ...]],
    dim: str,
) -> Graph:
    """Return a copy of a graph with one more row of a dimension."""
    copy = graph.clone()
    for name, store, key, value in found:
        if dim in dims[name]:
            axis = dims[name].index(dim)
            last = value.narrow(axis, value.shape[axis] - 1, 1)
            _store(copy, store)[key] = torch.cat([value, last], axis)
    for store, nodes in _node_dims(graph).items():
        there = _store(copy, store)
        if nodes == dim and "num_nodes" in there:
            there.num_nodes += 1
    return copy


def _declare(
    name: str,
    value: torch.Tensor,
    dims: tuple[int | str, ...],
    targets: str | tuple[str, ...] | None,
) -> Tensor:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in TRITON_NAMES:
        raise SchemaError(f"{name} is {dtype}, which cannot be sent; convert it, as with .float()")
    return Tensor(dtype, dims, index_into=targets)


def _has(attributes: tuple[Attribute, ...], dim: str) -> bool:
    return any(one.tensor.axis is not None and dim in one.tensor.dims for one in attributes)


def _with_dims(value: Any, tensor: Tensor) -> Any:
    array = torch.as_tensor(value).as_subclass(torch.Tensor).numpy(force=True)
    return array[None] if tensor.dims == (REQUESTS,) and not array.ndim else array


def ends(batch: MergedBatch, dim: str) -> torch.Tensor:
    """Return the first row of each graph, and the end: int64 ``[graphs + 1]``."""
    ends = np.cumsum([0, *batch.sizes(dim)])
    return torch.from_numpy(ends).to(batch.device or "cpu")
