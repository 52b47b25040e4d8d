"""``naiad.pyg``: a pipeline of an unmodified PyTorch Geometric network."""

from __future__ import annotations

import inspect
import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, field, make_dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias, cast

import torch
from torch_geometric.data.data import BaseData

from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline
from naiad.core.schema import REQUESTS, Array, Schema, measure
from naiad.core.user_modules import importable, is_users, load_module
from naiad.errors import SchemaError, WeightsError
from naiad.geometric.attributes import Graph, graph_type
from naiad.geometric.files import read_graph
from naiad.geometric.network import Layers
from naiad.geometric.probe import Findings, examine
from naiad.weights import read_state_dict

Maker: TypeAlias = "torch.nn.Module | Callable[..., torch.nn.Module]"

_NAME: Final = "Served"
"""Of the class that is made of a network on the command line."""
_GRAPHS: Final = 64
"""Graphs of the example's size that one batch holds, unless that is more than ``_ROWS``."""
_ROWS: Final = 1 << 14
_LARGEST: Final = 1_000
"""How many times larger than the example one graph may be; always up to ``_ALLOWED`` rows."""
_ALLOWED: Final = 100_000

_log = logging.getLogger(__name__)


def pyg(
    network: Maker,
    *,
    example: Graph | str | Path,
    inputs: Schema | None = None,
    outputs: Schema | None = None,
    settings: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    name: str = "",
    budget: Budget | None = None,
    limit: Budget | None = None,
) -> type[Pipeline]:
    """Make a pipeline of a PyTorch Geometric network, which stays as it is.

    ``forward`` of the network takes a ``Data`` or ``HeteroData``; or, by the names of its
    parameters, attributes of one (``x, edge_index, edge_attr, batch``, or ``x_dict,
    edge_index_dict``). It is run on the example, and on a larger graph made of it, alone and
    merged: inputs, outputs and how many graphs share a batch are derived from that. A network whose
    answer for one graph depends on others is served one request at a time; a line of the log says
    why. Inputs that do not change the answer are left out.

    Example::

        class MolNet(torch.nn.Module):
            def __init__(self, hidden: int = 64): ...
            def forward(self, data): ...

        Served = naiad.pyg(MolNet, example="molecule.pt", weights="best.pt")

    Args:
        network: a module, or what makes one: its class, or a function. Parameters with defaults
            are settings of the pipeline: ``naiad serve net.py:Served --set hidden=128``.
        example: a graph as the network takes it, or a file of ``torch.save`` with one; relative to
            the file of the caller.
        inputs: declarations in place of derived ones, such as bounds of values.
        outputs: declarations of all outputs, in the order and with the names of the network's,
            where the derived ones are not right.
        settings: arguments of ``network`` in place of its defaults.
        weights: a ``state_dict`` saved by ``torch.save``, relative to the file of the caller.
        name: of the model; by default that of the network's class, in snake case.
        budget: how much one batch may hold; by default 64 graphs like the example, and not much
            more than 16,384 nodes or edges.
        limit: how much one graph may have; by default 100,000 nodes and edges, or 1,000 times the
            example's.

    Raises:
        SchemaError: the network cannot be called with the example, or an output cannot be split
            into those of its graphs.
    """
    caller = sys._getframe(1).f_globals  # pyright: ignore[reportPrivateUsage]
    folder = Path(caller.get("__file__") or ".").resolve().parent
    graph = _graph(example, folder)
    defaults = _settings(network, settings or {})
    module = _made(network, defaults).eval()
    kind = type(module).__name__
    try:
        found = examine(module, graph_type(graph), graph, inputs or {}, outputs)
    except SchemaError as error:
        raise SchemaError(f"{kind}: {error}") from None
    arrays = found.call.graphs.arrays(graph)
    schema = found.call.graphs.inputs
    if found.mixes:
        _log.warning(
            "%s is served one request at a time: %s. Give `batch` to its normalisation, attention "
            "and pooling layers to have graphs merged",
            kind,
            found.mixes,
        )
    if found.warning:
        _log.warning("%s: %s", kind, found.warning)
    sizes = {dim: size for dim, size in measure(schema, arrays).items() if dim != REQUESTS}
    body: dict[str, Any] = {
        "__doc__": inspect.getdoc(type(module)),
        "__module__": caller["__name__"],
        "inputs": schema,
        "outputs": found.outputs,
        "budget": budget or _budget(sizes),
        "limit": limit or Budget(**{d: max(_ALLOWED, _LARGEST * n) for d, n in sizes.items()}),
        "weights": weights,
        "network": staticmethod(network) if inspect.isfunction(network) else network,
        "examined": module,
        "findings": found,
        "gradients": found.gradients,
        "merges": not found.mixes,
        "example_arrays": arrays,
    }
    if isinstance(example, str | Path) and not Path(example).is_absolute():
        body["files"] = (str(example),)
    if name:
        body["name"] = name
    if defaults is not None:
        body["settings"] = defaults
    return type(kind, (_Served, Pipeline), body)


def of_network(spec: str, example: Path, settings: Mapping[str, Any]) -> type[Pipeline]:
    """Make a pipeline of a network that is named on the command line.

    Args:
        spec: ``FILE.py:CLASS`` or ``package.module:CLASS``; also a function that makes the network.
        example: a file with a graph.
        settings: arguments of the class; text is read as JSON unless the default is text.

    Raises:
        SchemaError: as for :func:`pyg`; or there is no such network.
    """
    module, (where, _, name) = load_module(spec), spec.rpartition(":")
    network: Any = getattr(module, name, None)
    if not callable(network) and not isinstance(network, torch.nn.Module):
        made = [key for key, one in vars(module).items() if _is_network(one)]
        raise SchemaError(
            f"{spec}: name a network of {where or spec} after a colon; it has "
            f"{', '.join(made) or 'none'}"
        )
    values = {key: _value(network, key, text) for key, text in settings.items()}
    maker: Any = network
    kind = pyg(maker, example=example.resolve(), settings=values)
    kind.__module__, kind.__qualname__ = module.__name__, _NAME
    imported = importable(Path(module.__file__)) if is_users(module.__name__) else where
    kind.source = (
        f"import naiad\nfrom {imported} import {name} as network\n\n"
        f"{_NAME} = naiad.pyg(network, example={example.name!r}, settings={values!r})\n"
    )
    kind.files = (str(example.resolve()),)
    return kind


class _Served:
    """The hooks; of :class:`Pipeline` they need nothing but these attributes."""

    network: ClassVar[Maker]
    examined: ClassVar[torch.nn.Module]
    findings: ClassVar[Findings]
    example_arrays: ClassVar[Mapping[str, Array]]
    settings: Any = None
    weights_path: Path | None

    def setup(self, device: str) -> None:
        """Make the network and load its weights."""
        module = self._network()
        if self.weights_path is not None:
            _load(module, self.weights_path)
        self._module = module.to(device).eval()
        self._layers = (
            Layers(module, self.findings.call.graphs) if self.findings.gives_batch else None
        )

    def save_weights(self, folder: Path) -> Path | None:
        """Save the parameters of a network without weights: all workers must have the same."""
        path, module = folder / "weights.pt", self._network()
        if (
            not isinstance(self.network, torch.nn.Module)
            and next(module.parameters(), None) is not None
        ):
            _log.warning("%s has no weights, so its parameters are random", type(module).__name__)
        torch.save(module.state_dict(), path)
        return path

    def _network(self) -> torch.nn.Module:
        """Return the examined network, or one with other settings."""
        if self.settings == type(self).settings:
            return deepcopy(self.examined)
        return _made(self.network, self.settings)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Run the network on merged graphs."""
        found = self.findings
        with self._layers.of(batch) if self._layers else nullcontext():
            outputs = found.call(self._module, batch)
        named = dict(zip(found.outputs, outputs.values(), strict=True))
        return {
            name: tensor[None] if found.outputs[name].axis is None else tensor
            for name, tensor in named.items()
        }

    def example(self) -> Mapping[str, Array]:
        """Return the graph that the pipeline was made with; a subclass may take less of it."""
        inputs: Schema = cast("Any", self).inputs
        if not inputs.keys() <= self.example_arrays.keys():
            return Pipeline.example(cast("Any", self))
        return {name: self.example_arrays[name] for name in inputs}


def _graph(example: Any, folder: Path) -> Graph:
    if isinstance(example, str | Path):
        return read_graph(folder / example)
    if not isinstance(example, BaseData):
        raise SchemaError(
            f"the example is a {type(example).__name__}; it must be a torch_geometric Data or "
            "HeteroData"
        )
    return example  # pyright: ignore[reportReturnType]


def _settings(network: Maker, given: Mapping[str, Any]) -> Any:
    """Return the arguments that the network is made with, as a dataclass; None for a module."""
    if isinstance(network, torch.nn.Module):
        if given:
            raise SchemaError("settings are arguments of a class or function; give that as network")
        return None
    parameters = inspect.signature(network).parameters
    if unknown := given.keys() - parameters.keys():
        raise SchemaError(
            f"{network.__name__} takes no {', '.join(sorted(unknown))}; it takes "
            f"{', '.join(parameters) or 'nothing'}"
        )
    values = {
        key: given.get(key, one.default)
        for key, one in parameters.items()
        if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    }
    if missing := [key for key, value in values.items() if value is inspect.Parameter.empty]:
        raise SchemaError(
            f"{network.__name__} needs {', '.join(missing)}: give settings, such as "
            f"{{{missing[0]!r}: 64}}"
        )
    simple = {k: v for k, v in values.items() if isinstance(v, bool | int | float | str)}
    made = make_dataclass(
        "Settings",
        [(key, type(value), field(default=value)) for key, value in simple.items()],
        frozen=True,
    )
    made.others = {key: given[key] for key in given if key not in simple}
    return made()


def _made(network: Maker, settings: Any) -> torch.nn.Module:
    if isinstance(network, torch.nn.Module):
        return network
    made: Any = network(**asdict(settings), **type(settings).others)
    if not isinstance(made, torch.nn.Module):
        raise SchemaError(f"{network.__name__}() returned a {type(made).__name__}, not a module")
    return made


def _load(module: torch.nn.Module, path: Path) -> None:
    """Load a ``state_dict``; a prefix that all names have, as Lightning's, is left out."""
    state = dict(read_state_dict(path))
    wanted = module.state_dict().keys()
    first = next(iter(state), "")
    for end in (n for n, letter in enumerate(first, 1) if letter == "."):
        prefix = first[:end]
        if state.keys() != wanted and {f"{prefix}{name}" for name in wanted} == state.keys():
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise WeightsError(f"{path}: {' '.join(lines[:4])}") from None


def _budget(sizes: Mapping[str, int]) -> Budget:
    rows = {dim: max(2 * size, min(_GRAPHS * size, _ROWS)) for dim, size in sizes.items()}
    return Budget(requests=_GRAPHS, **rows)


def _is_network(value: object) -> bool:
    return isinstance(value, torch.nn.Module) or (
        isinstance(value, type) and issubclass(value, torch.nn.Module)
    )


def _value(network: Any, name: str, given: Any) -> Any:
    """Return an argument that was typed, as its default's type or as JSON."""
    parameter = inspect.signature(network).parameters.get(name)
    default = None if parameter is None else parameter.default
    if not isinstance(given, str) or isinstance(default, str):
        return given
    try:
        value = json.loads(given)
    except ValueError:
        value = given
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if isinstance(default, bool | int | float) and type(value) is not type(default):
        raise SchemaError(
            f"{name} is {given!r}; its default is {default!r}, so it must be "
            f"{'a number' if type(default) is not bool else 'true or false'}"
        )
    return value
