"""Runs a network on its example, to see what it returns and whether graphs may be merged."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch

from naiad.core.examples import TOLERANCE, difference, emptied, grown, varied
from naiad.core.merging import collate
from naiad.core.schema import (
    REQUESTS,
    TRITON_NAMES,
    Arrays,
    Schema,
    Tensor,
    measure,
    refuse_indices,
)
from naiad.errors import InvalidInput, SchemaError
from naiad.geometric.attributes import GraphType
from naiad.geometric.network import Call, LayerDims, Layers
from naiad.tracebacks import told

Outputs = Mapping[str, torch.Tensor]
Sizes = Mapping[str, int]

# Relative, between a layer with and without `batch`: LayerNorm adds eps to the deviation in one
# formula and to the variance in the other.
_OTHER_FORMULA = 1e-2


@dataclass(frozen=True, slots=True)
class Findings:
    """What a network does with its example.

    Attributes:
        call: how it is called, with the attributes that matter.
        outputs: the schema of its outputs.
        gradients: it computes gradients.
        gives: layers that must be given ``batch`` when graphs are merged, by name: of which nodes,
            for each of their calls.
        mixes: why graphs cannot be merged; "" if they can.
        warning: what else its author should know, or "".
    """

    call: Call
    outputs: dict[str, Tensor]
    gradients: bool
    gives: LayerDims
    mixes: str
    warning: str

    @property
    def gives_batch(self) -> bool:
        """Some layers must be given ``batch``."""
        return bool(self.gives)


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
    probe.check_indices(first)
    probe.find_gradients(first)
    if call.parameters is None:
        probe.leave_out_unused(first)
    probe.declare(inputs)
    first = probe.call.graphs.arrays(example)
    pair = probe.pair(first)
    alone = [probe.run(one) for one in pair]
    sizes = [measure(probe.schema, arrays) for arrays in pair]
    together = probe.run_merged(*pair)
    given: LayerDims = {}
    mixes = ""
    if not _agree(alone, together):
        probe.layers = Layers(network, probe.call.graphs)
        together = probe.run_merged(*pair)
        given = probe.layers.given
        probe.layers.remove()
        probe.layers = Layers(network, probe.call.graphs, given)
        informed = [probe.run_merged(one) for one in pair]
        probe.layers.remove()
        same = all(_agree([a], b, _OTHER_FORMULA) for a, b in zip(alone, informed, strict=True))
        if not same or not _agree(cast("list[Outputs]", informed), together):
            probe.layers, given = None, {}
            mixes = (
                "its answer for a graph depends on the graphs that it is merged with. Give `batch` "
                "to its normalisation, attention and pooling layers to have graphs merged"
            )
            if isinstance(together, Exception):
                mixes = f"it fails for merged graphs: {told(together, 'forward()')}"
            elif not _agree([alone[0]], probe.run(pair[0], seed=1)):
                mixes = (
                    "its answers are random, as those of torch.nn.functional.dropout without "
                    "training=self.training"
                )
        else:
            probe.layers = Layers(network, probe.call.graphs, given)
    merged = None if mixes or isinstance(together, Exception) else together
    derived = {
        name: _declare(
            name, alone[0][name], alone[1][name], sizes, None if merged is None else merged[name]
        )
        for name in (alone[0] if outputs is None else ())
    }
    declared = derived if outputs is None else _checked(outputs, alone, sizes)
    warning = "" if mixes else probe.fails_for_empty(first, alone[0], declared)
    if probe.layers:
        probe.layers.remove()
    return Findings(probe.call, dict(declared), probe.gradients, given, mixes, warning)


@dataclass(slots=True)
class _Probe:
    network: torch.nn.Module
    call: Call
    gradients: bool = False
    example_answered: bool = False
    layers: Layers | None = field(default=None)

    @property
    def schema(self) -> Schema:
        return self.call.graphs.inputs

    def run(self, *samples: Arrays, seed: int = 0) -> dict[str, torch.Tensor]:
        """Run requests merged; with the same random numbers each time.

        Raises:
            SchemaError: the network fails.
        """
        try:
            return self._run(samples, seed)
        except SchemaError:
            raise
        except Exception as error:
            where, hint = self._what_failed()
            hint = self.call.graphs.hint(error) or hint
            raise SchemaError(f"it fails for {where}: {told(error, 'forward()')}{hint}") from error

    def _what_failed(self) -> tuple[str, str]:
        """Return the graph that a network failed for, and what to do if nothing else is known."""
        if not self.example_answered:
            return "the example", ""
        own = [one.name for one in self.call.graphs.attributes if one.has_own_rows]
        if not own:
            return "a graph like the example", (
                "; where it takes as many rows for something else than nodes, give an example with "
                "other numbers of those"
            )
        return f"a graph with other numbers of rows of {', '.join(own)}", (
            ". Where all graphs have the same number, give each a first dimension of one, as in "
            f"data.{own[0]} = data.{own[0]}[None]"
        )

    def _run(self, samples: Sequence[Arrays], seed: int) -> dict[str, torch.Tensor]:
        sizes = [measure(self.schema, arrays) for arrays in samples]
        batch = collate(self.schema, samples, sizes).torch("cpu")
        mode = torch.enable_grad if self.gradients else torch.inference_mode
        with torch.random.fork_rng(devices=[]), mode(), warnings.catch_warnings():
            torch.default_generator.manual_seed(seed)
            warnings.simplefilter("ignore", UserWarning)  # of numbers of nodes that are guessed
            with self.layers.of(batch) if self.layers else contextlib.nullcontext():
                found = self.call(self.network, batch)
        return {name: torch.atleast_1d(tensor.detach()) for name, tensor in found.items()}

    def run_merged(self, *samples: Arrays) -> dict[str, torch.Tensor] | Exception:
        try:
            return self._run(samples, 0)
        except Exception as error:
            return error

    def pair(self, first: Arrays) -> list[Arrays]:
        """Return two graphs of different sizes and values, as far as the network answers them.

        Values that are all alike would not show that it mixes graphs.
        """
        plain = [first, grown(self.schema, first)]
        for integers in (True, False):
            low = varied(self.schema, plain[0], 0.6, 1, integers=integers)
            high = varied(self.schema, plain[1], 0.2, 0.4, integers=integers)
            found = [self.run_merged(low), self.run_merged(high)]
            if all(not isinstance(one, Exception) and _finite(one) for one in found):
                return [low, high]
        return plain

    def check_indices(self, arrays: Arrays) -> None:
        """Raise SchemaError if an index of the example is out of range."""
        sizes = measure(self.schema, arrays)
        try:
            for name, tensor in self.schema.items():
                refuse_indices(name, tensor, arrays[name], sizes)
        except InvalidInput as error:
            raise SchemaError(f"the example: {error}") from None

    def find_gradients(self, arrays: Arrays) -> None:
        error = self.run_merged(arrays)
        self.gradients = isinstance(error, RuntimeError) and (
            "grad" in str(error) or "Inference tensors" in str(error)
        )
        self.run(arrays)
        self.example_answered = True

    def leave_out_unused(self, arrays: Arrays) -> None:
        """Keep the attributes that matter: without them, or with others, the answer changes.

        Weights of edges that are all one are like none: only other values show that they matter.
        """
        complete, expected = self.call, self.run(arrays)
        others = [name for name in arrays if not self._matters(name, arrays, expected)]
        names = set(arrays)
        for name in others:
            self.call = replace(complete, graphs=complete.graphs.only(names - {name}))
            left = {key: arrays[key] for key in self.schema}
            if name not in self.schema and _agree([expected], self.run_merged(left)):
                names.remove(name)
        self.call = replace(complete, graphs=complete.graphs.only(names))

    def _matters(self, name: str, arrays: Arrays, expected: Outputs) -> bool:
        array = arrays[name]
        if array.dtype == bool:
            other = ~array
        elif array.dtype.kind == "f":
            other = varied(self.schema, {name: array}, 0.2, 0.8)[name]
        else:
            other = np.zeros_like(array) if array.any() else array + 1
        return not _agree([expected], self.run_merged({**arrays, name: other}))

    def declare(self, inputs: Schema) -> None:
        if unknown := inputs.keys() - self.schema.keys():
            raise SchemaError(
                f"inputs names {', '.join(sorted(unknown))}; the network takes "
                f"{', '.join(self.schema)}"
            )
        for name, given in inputs.items():
            if (derived := self.schema[name]).names != given.names:
                raise SchemaError(
                    f"inputs declares {name} with dimensions {given.dims}; it has {derived.dims}"
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


def _agree(
    alone: Sequence[Outputs], together: Outputs | Exception, tolerance: float = TOLERANCE
) -> bool:
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
        elif difference(expected.double().numpy(), merged.double().numpy()) > tolerance:
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


def _finite(outputs: Outputs) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in outputs.values())


def _checked(
    declared: Schema, alone: list[dict[str, torch.Tensor]], sizes: Sequence[Sizes]
) -> Schema:
    """Return the outputs that the user declared.

    Raises:
        SchemaError: the network's are others.
    """
    if [*declared] != [*alone[0]]:
        raise SchemaError(
            f"outputs declares {', '.join(declared)}; the network returns {', '.join(alone[0])}, "
            "in this order"
        )
    for name, tensor in declared.items():
        for found, of in zip(alone, sizes, strict=True):
            shape, dtype = [*found[name].shape], str(found[name].dtype).removeprefix("torch.")
            dims = [of.get(dim, -1) if isinstance(dim, str) else dim for dim in tensor.dims]
            alike = [size in (-1, there) for size, there in zip(dims, shape, strict=False)]
            if len(dims) != len(shape) or not all(alike):
                rows = ", ".join(f"{count} {dim}" for dim, count in of.items() if dim != REQUESTS)
                raise SchemaError(
                    f"outputs declares {name} as {tensor.dims}; it has shape {shape} for a graph "
                    f"of {rows}"
                )
            if dtype != tensor.dtype:
                raise SchemaError(f"outputs declares {name} as {tensor.dtype}; it is {dtype}")
    return declared


def _declare(
    name: str,
    first: torch.Tensor,
    second: torch.Tensor,
    sizes: Sequence[Sizes],
    merged: torch.Tensor | None,
) -> Tensor:
    """Return the declaration of an output, from those of two graphs and the merged one, if any."""
    dtype = str(first.dtype).removeprefix("torch.")
    if dtype not in TRITON_NAMES:
        raise SchemaError(f"{name} is {dtype}, which cannot be sent; return it as with .float()")
    if first.ndim != second.ndim:
        raise SchemaError(f"{name} has {first.ndim} dimensions, or {second.ndim} for another graph")
    dims: list[int | str] = list(first.shape)
    differ = [n for n in range(first.ndim) if first.shape[n] != second.shape[n]]
    if not differ and merged is None and dims[:1] != [1]:
        return Tensor(dtype, tuple(dims), finite=False)
    axis = differ[0] if differ else 0
    if not differ and merged is not None:
        axis = _axis([first, second], merged) or 0
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
