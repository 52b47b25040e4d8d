"""An unmodified network: how its ``forward`` is called, and its outputs by name."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, partial
from typing import Any, Final, TypeAlias

import torch
from torch_geometric.data.data import BaseData

from naiad.core.merging import Batch
from naiad.errors import PipelineError, SchemaError
from naiad.geometric.attributes import GraphType, StoreKey, ends

OUTPUT: Final = "output"
"""Name of an output that the network gives no name."""

_DERIVED: Final = ("batch", "ptr", "num_nodes")
_COUNTS: Final = ("num_graphs", "batch_size")


@dataclass(frozen=True)
class Call:
    """How ``forward`` is called: with the merged graph, or with parts of it by parameter name."""

    graphs: GraphType
    parameters: tuple[str, ...] | None

    @classmethod
    def of(cls, network: torch.nn.Module, graphs: GraphType) -> Call:
        """Read the signature of ``forward``.

        Raises:
            SchemaError: it takes something that the example does not have.
        """
        known = _Parts(graphs)
        parameters = [
            one
            for one in inspect.signature(network.forward).parameters.values()
            if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        ]
        required = [one for one in parameters if one.default is one.empty]
        if len(required) == 1 and _is_graph(required[0], known):
            return cls(graphs, None)
        if unknown := [one.name for one in required if one.name not in known]:
            raise SchemaError(
                f"forward() takes {', '.join(unknown)}, which the example does not have; it has "
                f"{', '.join(known.names())}{graphs.why_missing(unknown)}"
            )
        return cls(graphs, tuple(one.name for one in parameters if one.name in known))

    def used(self) -> GraphType:
        """Return the graphs without attributes that no parameter takes."""
        if self.parameters is None:
            return self.graphs
        known = _Parts(self.graphs)
        return self.graphs.only({name for one in self.parameters for name in known.inputs(one)})

    def __call__(self, network: torch.nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        """Run the network on a merged batch; return its outputs by name."""
        if self.parameters is None:
            return named(network(self.graphs.merged(batch)))
        parts = self._parts  # a `Batch` for them would take half a millisecond
        return named(network(**{name: parts.get(batch, name) for name in self.parameters}))

    @cached_property
    def _parts(self) -> _Parts:
        return _Parts(self.graphs)


class _Parts:
    """The parts of a merged graph that a parameter may name.

    With several types a parameter gets a dictionary by type; ``x`` is ``x_dict`` then, as networks
    of ``to_hetero`` have it.
    """

    def __init__(self, graphs: GraphType) -> None:
        self._single = None in graphs.nodes
        self._nodes = graphs.nodes
        self._by_key: dict[str, dict[StoreKey, str]] = {}
        for one in graphs.attributes:
            self._by_key.setdefault(one.key, {})[one.store] = one.name

    def __contains__(self, name: str) -> bool:
        return name in _COUNTS or self._key(name) in (*self._by_key, *_DERIVED)

    def names(self) -> list[str]:
        end = "" if self._single else "_dict"
        return [*(f"{key}{end}" for key in (*self._by_key, *_DERIVED)), *_COUNTS]

    def inputs(self, name: str) -> list[str]:
        return [*self._by_key.get(self._key(name), {}).values()]

    def get(self, batch: Batch, name: str) -> Any:
        """Return a parameter's value, or a dictionary of values by type."""
        if name in _COUNTS:
            return batch.requests
        key = self._key(name)
        found: dict[StoreKey, Any] = {
            store: batch[name] for store, name in self._by_key.get(key, {}).items()
        }
        if key in _DERIVED:
            derive = {"batch": batch.index, "ptr": partial(ends, batch), "num_nodes": batch.total}
            found = {store: derive[key](dim) for store, dim in self._nodes.items()}
        return found[None] if self._single else found

    def _key(self, name: str) -> str:
        return name if self._single else name.removesuffix("_dict")


def _is_graph(parameter: inspect.Parameter, known: _Parts) -> bool:
    annotation = parameter.annotation
    if annotation is not parameter.empty and isinstance(annotation, type):
        return issubclass(annotation, BaseData)
    if isinstance(annotation, str) and annotation.rpartition(".")[2] in (
        "Data",
        "HeteroData",
        "Batch",
    ):
        return True
    return parameter.name not in known or parameter.name == "batch"


def named(outputs: Any, name: str = "") -> dict[str, torch.Tensor]:
    """Return the tensors of a result by name: keys, fields, or places in a tuple.

    Raises:
        SchemaError: it has something that is not a tensor.
    """
    if isinstance(outputs, torch.Tensor):
        return {name or OUTPUT: outputs}
    if isinstance(outputs, Mapping):
        parts: dict[Any, Any] = dict(outputs)
    elif is_dataclass(outputs):
        parts = {one.name: getattr(outputs, one.name) for one in fields(outputs)}
    elif isinstance(outputs, Sequence) and not isinstance(outputs, str):
        keys = getattr(outputs, "_fields", None) or [f"{OUTPUT}_{n}" for n in range(len(outputs))]
        parts = dict(zip(keys, outputs, strict=True))
    else:
        raise SchemaError(
            f"forward() returns {name or 'a'} {type(outputs).__name__}; it must be a tensor, or a "
            "tuple or dictionary of tensors"
        )
    found: dict[str, torch.Tensor] = {}
    for key, value in parts.items():
        words = key if isinstance(key, tuple) else (str(key),)
        if value is not None:
            found |= named(value, "__".join([*([name] if name else []), *words]))
    return found


LayerDims: TypeAlias = "dict[str, list[str | None]]"
"""Layers by name: the nodes whose ``batch`` each call is given; None: it is given nothing."""


class Layers:
    """Gives ``batch`` to layers that take it and were not given it, such as normalisations.

    Without it, a layer like ``GraphNorm`` takes all graphs of a batch for one.

    Attributes:
        given: what the layers were given. Nodes are recognised by their number, which is certain
            only where graphs have as many nodes of one type as of another, so that a network is
            watched once, with graphs that have not, and then given the same.
    """

    def __init__(
        self, network: torch.nn.Module, graphs: GraphType, given: LayerDims | None = None
    ) -> None:
        """Watch the calls of the network's layers; ``given`` is what they are to be given."""
        self._dims = tuple(graphs.nodes.values())
        self._batch: Batch | None = None
        self._calls: dict[str, int] = {}
        self._planned = given is not None
        self.given: LayerDims = {} if given is None else given
        self._hooks: list[Any] = []
        for name, module in network.named_modules():
            signature = inspect.signature(module.forward)
            if module is not network and "batch" in signature.parameters:
                give = partial(self._give, name, signature)
                self._hooks.append(module.register_forward_pre_hook(give, with_kwargs=True))

    @contextmanager
    def of(self, batch: Batch) -> Generator[None]:
        """Give the graphs' numbers of this batch, also of a single graph.

        So an answer does not depend on the size of its batch: ``LayerNorm`` has another formula
        without ``batch``.
        """
        self._batch = batch
        self._calls.clear()
        try:
            yield
        finally:
            self._batch = None

    def remove(self) -> None:
        """Watch no longer."""
        for hook in self._hooks:
            hook.remove()

    def _give(
        self,
        name: str,
        signature: inspect.Signature,
        module: Any,
        args: Any,
        kwargs: dict[str, Any],
    ) -> Any:
        batch, given = self._batch, signature.bind_partial(*args, **kwargs).arguments
        first = next(iter(given.values()), None)
        if batch is None or given.get("batch") is not None or not isinstance(first, torch.Tensor):
            return None
        rows = first.shape[0] if first.ndim else 0
        number = self._calls[name] = self._calls.get(name, -1) + 1
        dim = self._planned_dim(name, number) if self._planned else self._found(name, batch, rows)
        if dim is None:
            return None
        if batch.total(dim) != rows:
            raise PipelineError(
                f"{name} takes {rows} rows; the graphs have {batch.total(dim)} {dim}"
            )
        known = {"batch": batch.index(dim), "batch_size": batch.requests}
        return (), {**given, **{k: v for k, v in known.items() if k in signature.parameters}}

    def _found(self, name: str, batch: Batch, rows: int) -> str | None:
        dim = next((dim for dim in self._dims if batch.total(dim) == rows), None)
        self.given.setdefault(name, []).append(dim)
        return dim

    def _planned_dim(self, name: str, number: int) -> str | None:
        plan = self.given.get(name, [])
        if number >= len(plan):
            raise PipelineError(f"{name} is called more often than for the example")
        return plan[number]
