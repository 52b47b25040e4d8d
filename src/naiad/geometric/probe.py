"""Runs a network on its example, to see what it returns and whether graphs may be merged."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from naiad.core.examples import TOLERANCE, difference, emptied, grown
from naiad.core.merging import collate
from naiad.core.schema import REQUESTS, Arrays, Schema, Tensor, measure
from naiad.errors import SchemaError
from naiad.geometric.attributes import GraphType
from naiad.geometric.network import Call, Layers

Outputs = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a network does with its example.

    Attributes:
        call: how it is called, with the attributes that matter.
        outputs: the schema of its outputs.
        gradients: it computes gradients.
        gives_batch: some layers must be given ``batch`` when graphs are merged.
        mixes: why graphs cannot be merged; "" if they can.
        warning: what else its author should know, or "".
    """

    call: Call
    outputs: dict[str, Tensor]
    gradients: bool
    gives_batch: bool
    mixes: str
    warning: str


def examine(
    network: torch.nn.Module,
    graphs: GraphType,
    example: Any,
    inputs: Schema,
    outputs: Schema | None,
) -> Findings:
    """Run a network on its example, on a larger graph and on both merged.

    Args:
        network: in evaluation mode.
        graphs: the type of the example.
        example: a graph.
        inputs: tensors declared otherwise than the example says.
        outputs: the schema of the outputs, where it is not to be derived.

    Raises:
        SchemaError: the network cannot be called so, or an output cannot be split.
    """
    call = Call.of(network, graphs)
    probe = _Probe(network, replace(call, graphs=call.used()))
    first = probe.call.graphs.arrays(example)
    probe.find_gradients(first)
    if call.parameters is None:
        probe.leave_out_unused(first)
    probe.declare(inputs)
    first = probe.call.graphs.arrays(example)
    second = grown(probe.schema, first)
    alone = [probe.run(first), probe.run_grown(second)]
    sizes = [measure(probe.schema, arrays) for arrays in (first, second)]
    together = probe.run_merged(first, second)
    gives_batch, mixes = False, ""
    if not _agree(alone, together):
        probe.layers = Layers(network, probe.call.graphs)
        together = probe.run_merged(first, second)
        gives_batch = _agree(alone, together)
        if not gives_batch:
            mixes = "its answer for a graph depends on the graphs that it is merged with"
            if isinstance(together, Exception):
                mixes = f"it fails for merged graphs: {together}"
            probe.layers = None
    declared = outputs or {
        name: _declare(name, alone[0][name], alone[1][name], sizes, merged=not mixes)
        for name in alone[0]
    }
    warning = "" if mixes else probe.fails_for_empty(first, alone[0], declared)
    return Findings(probe.call, dict(declared), probe.gradients, gives_batch, mixes, warning)


@dataclass(slots=True)
class _Probe:
    network: torch.nn.Module
    call: Call
    gradients: bool = False
    layers: Layers | None = field(default=None)

    @property
    def schema(self) -> Schema:
        return self.call.graphs.inputs

    def run(self, *samples: Arrays) -> dict[str, torch.Tensor]:
        """Run requests merged; with the same random numbers each time."""
        sizes = [measure(self.schema, arrays) for arrays in samples]
        batch = collate(self.schema, samples, sizes).torch("cpu")
        mode = torch.enable_grad if self.gradients else torch.inference_mode
        with torch.random.fork_rng(devices=[]), mode(), warnings.catch_warnings():
            torch.default_generator.manual_seed(0)
            warnings.simplefilter("ignore", UserWarning)  # of numbers of nodes that are guessed
            with self.layers.of(batch) if self.layers else contextlib.nullcontext():
                found = self.call(self.network, batch)
        return {name: tensor.detach() for name, tensor in found.items()}

    def run_grown(self, arrays: Arrays) -> dict[str, torch.Tensor]:
        """Run the larger graph, which has more rows of every dimension.

        Raises:
            SchemaError: the network fails, and an attribute has rows that are not nodes or edges.
        """
        try:
            return self.run(arrays)
        except Exception as error:
            own = [one.name for one in self.call.graphs.attributes if one.has_own_rows]
            if not own:
                raise
            raise SchemaError(
                f"it fails for a graph with other numbers of rows of {', '.join(own)}: {error}. "
                "Where all graphs have the same number, give each a first dimension of one, as in "
                f"data.{own[0]} = data.{own[0]}[None]"
            ) from error

    def run_merged(self, *samples: Arrays) -> dict[str, torch.Tensor] | Exception:
        try:
            return self.run(*samples)
        except Exception as error:
            return error

    def find_gradients(self, arrays: Arrays) -> None:
        try:
            self.run(arrays)
        except RuntimeError as error:
            if "grad" not in str(error) and "Inference tensors" not in str(error):
                raise
            self.gradients = True
            self.run(arrays)

    def leave_out_unused(self, arrays: Arrays) -> None:
        """Keep the attributes without which the network fails, or answers otherwise."""
        complete, expected = self.call, self.run(arrays)
        names = set(arrays)
        for name in arrays:
            self.call = replace(complete, graphs=complete.graphs.only(names - {name}))
            left = {key: arrays[key] for key in self.schema}
            if name not in self.schema and _agree([expected], self.run_merged(left)):
                names.remove(name)
        self.call = replace(complete, graphs=complete.graphs.only(names))

    def declare(self, inputs: Schema) -> None:
        if unknown := inputs.keys() - self.schema.keys():
            raise SchemaError(
                f"inputs names {', '.join(sorted(unknown))}; the network takes "
                f"{', '.join(self.schema)}"
            )
        graphs = self.call.graphs
        attributes = tuple(
            replace(one, tensor=inputs.get(one.name, one.tensor)) for one in graphs.attributes
        )
        self.call = replace(self.call, graphs=replace(graphs, attributes=attributes))

    def fails_for_empty(self, arrays: Arrays, alone: Outputs, declared: Schema) -> str:
        """Say what goes wrong if a graph without nodes is the last of a batch."""
        empty = emptied(self.schema, arrays)
        found = self.run_merged(arrays, empty)
        if isinstance(found, Exception):
            return f"a graph without nodes cannot be merged with others: {found}"
        for name, tensor in declared.items():
            extra = 1 if REQUESTS in tensor.dims or tensor.axis is None else 0
            rows = alone[name].shape[tensor.axis or 0] + extra
            if found[name].shape[tensor.axis or 0] != rows:
                return (
                    f"{name} has no row for a graph without nodes that is the last of a batch: "
                    "give the pooling the number of graphs, as in "
                    "global_mean_pool(x, batch, size=batch_size)"
                )
        return ""


def _agree(alone: list[dict[str, torch.Tensor]], together: Outputs | Exception) -> bool:
    """Return True if merged answers are those of each graph, one behind the other."""
    if isinstance(together, Exception) or together.keys() != alone[0].keys():
        return False
    for name, merged in together.items():
        parts = [one[name] for one in alone]
        axis = _axis(parts, merged)
        if axis is None:
            return False
        expected = torch.cat(parts, axis)
        if not expected.is_floating_point():
            if not torch.equal(merged, expected):
                return False
        elif difference(expected.double().numpy(), merged.double().numpy()) > TOLERANCE:
            return False
    return True


def _axis(parts: list[torch.Tensor], merged: torch.Tensor) -> int | None:
    """Return the axis along which the parts lie behind each other in the merged tensor."""
    for axis in range(merged.ndim):
        if any(part.ndim != merged.ndim for part in parts):
            return None
        shapes = [[*part.shape] for part in (*parts, merged)]
        sizes = [shape.pop(axis) for shape in shapes]
        if all(shape == shapes[0] for shape in shapes) and sum(sizes[:-1]) == sizes[-1]:
            return axis
    return None


def _declare(
    name: str,
    first: torch.Tensor,
    second: torch.Tensor,
    sizes: list[dict[str, int]],
    *,
    merged: bool,
) -> Tensor:
    """Return the declaration of an output, from those of two graphs of other sizes."""
    dtype = str(first.dtype).removeprefix("torch.")
    if first.ndim != second.ndim:
        raise SchemaError(f"{name} has {first.ndim} dimensions, or {second.ndim} for another graph")
    dims: list[int | str] = list(first.shape)
    differ = [n for n in range(first.ndim) if first.shape[n] != second.shape[n]]
    if not differ and not merged and dims[:1] != [1]:
        return Tensor(dtype, tuple(dims), finite=False)
    axis = differ[0] if differ else 0
    there = (first.shape[axis], second.shape[axis])
    known = {dim: (sizes[0][dim], sizes[1][dim]) for dim in sizes[0]}
    found = next((dim for dim, size in known.items() if size == there), None)
    if found is None or len(differ) > 1:
        raise SchemaError(
            f"{name} has shape {list(first.shape)} for the example and {list(second.shape)} for a "
            f"graph of other sizes, which is not one row for each of {', '.join(known)}; declare "
            f'it, as in outputs={{"{name}": Tensor("{dtype}", ("nodes", 3))}}'
        )
    dims[axis] = found
    return Tensor(dtype, tuple(dims), finite=False)
