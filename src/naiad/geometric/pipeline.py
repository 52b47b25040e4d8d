"""``naiad.pyg``: a pipeline of an unmodified PyTorch Geometric network."""

from __future__ import annotations

import inspect
import io
import logging
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import torch
from torch_geometric.data.data import BaseData

from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Call, Pipeline
from naiad.core.schema import REQUESTS, Array, Schema, measure
from naiad.core.user_modules import importable, is_users, load_module
from naiad.errors import SchemaError, WeightsError
from naiad.geometric.attributes import Graph, graph_type
from naiad.geometric.files import read_graph
from naiad.geometric.network import Layers
from naiad.geometric.probe import Findings, examine
from naiad.geometric.settings import Maker, network_settings, saved_settings, typed_value
from naiad.tracebacks import told
from naiad.weights import placed_name, read_state_dict

_NAME: Final = "Served"
"""Of the class that is made of a network on the command line."""
_EXAMPLE: Final = "example.pt"
"""File of an example that was in memory, in an exported model."""
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
        weights: a ``state_dict`` saved by ``torch.save``, or a checkpoint with one, relative to the
            file of the caller. ``hyper_parameters`` of a checkpoint of PyTorch Lightning take
            precedence over the network's defaults, and ``settings`` over them.
        name: of the model; by default that of the network's class, in snake case.
        budget: how much one batch may hold; by default 64 graphs like the example, and not much
            more than 16,384 nodes or edges.
        limit: how much one graph may have; by default 100,000 nodes and edges, or 1,000 times the
            example's.

    Raises:
        SchemaError: the network cannot be called with the example, or an output cannot be split
            into those of its graphs.
        WeightsError: the weights exist and cannot be read safely.
    """
    caller = sys._getframe(1).f_globals  # pyright: ignore[reportPrivateUsage]
    folder = Path(caller.get("__file__") or ".").resolve().parent
    graph = _graph(example, folder)
    network = _unwrapped(network)
    chosen, taken = dict(settings or {}), dict(settings or {})
    if weights is not None:
        taken |= saved_settings(network, _weights(folder, weights), chosen).values
    defaults = network_settings(network, taken)
    module = _made(network, defaults)
    kind = type(module).__name__
    training = [one for one in module.modules() if one.training]
    try:
        found = examine(module.eval(), graph_type(graph), graph, inputs or {}, outputs)
    except SchemaError as error:
        raise SchemaError(f"{kind}: {error}") from error.__cause__
    finally:  # a module of the caller's stays as it was
        for one in training if module is network else ():
            one.training = True
    arrays = found.call.graphs.arrays(graph)
    schema = found.call.graphs.inputs
    if found.mixes:
        _log.warning(
            "%s is served one request at a time: %s",
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
        "merges": False if found.mixes else None,  # checked again with the weights
        "example_arrays": arrays,
        "chosen": chosen,
        "taken": taken,
    }
    if isinstance(example, str | Path) and not Path(example).is_absolute():
        body["files"] = (str(example),)
    if name:
        body["name"] = name
    if defaults is not None:
        body["settings"] = defaults
    given = {
        "network": network,
        "example": example,
        "inputs": inputs,
        "outputs": outputs,
        "settings": settings,
        "weights": weights,
        "name": name,
        "budget": budget,
        "limit": limit,
    }
    body["given"] = {key: value for key, value in given.items() if value not in (None, "")}
    return type(kind, (_Served, Pipeline), body)


def of_network(
    spec: str, example: Path, settings: Mapping[str, Any], weights: Path | None = None
) -> type[Pipeline]:
    """Make a pipeline of a network that is named on the command line.

    Args:
        spec: ``FILE.py:CLASS`` or ``package.module:CLASS``; also a function that makes the network.
        example: a file with a graph.
        settings: arguments of the class; text is read as JSON unless the default is text.
        weights: a file for :func:`pyg`.

    Raises:
        SchemaError: as for :func:`pyg`; or there is no such network.
        WeightsError: as for :func:`pyg`.
    """
    module, (where, _, name) = load_module(spec), spec.rpartition(":")
    network: Any = getattr(module, name, None)
    if not callable(network) and not isinstance(network, torch.nn.Module):
        made = [key for key, one in vars(module).items() if _is_network(one)]
        raise SchemaError(
            f"{spec}: name a network of {where or spec} after a colon; it has "
            f"{', '.join(made) or 'none'}"
        )
    values = {key: typed_value(network, key, text) for key, text in settings.items()}
    maker: Any = network
    file = weights and weights.resolve()
    kind = pyg(maker, example=example.resolve(), settings=values, weights=file)
    kind.__module__, kind.__qualname__ = module.__name__, _NAME
    imported = importable(Path(module.__file__)) if is_users(module.__name__) else where
    kind.source = (
        f"import naiad\nfrom {imported} import {name} as network\n\n"
        f"{_NAME} = naiad.pyg(network, example={example.name!r}, settings={values!r}, "
        f"weights={file and placed_name(file)!r})\n"
    )
    kind.files = (str(example.resolve()),)
    return kind


class _Served:
    """The hooks; of :class:`Pipeline` they need nothing but these attributes."""

    network: ClassVar[Maker]
    examined: ClassVar[torch.nn.Module]
    findings: ClassVar[Findings]
    example_arrays: ClassVar[Mapping[str, Array]]
    given: ClassVar[Mapping[str, Any]]
    chosen: ClassVar[Mapping[str, Any]]
    taken: ClassVar[Mapping[str, Any]]
    settings: Any = None
    weights_path: Path | None

    def __init__(self, weights: Path | None = None) -> None:
        """Take the hyper-parameters of these weights, where the class was not given others."""
        Pipeline.__init__(cast("Any", self), weights)
        if self.weights_path is None:
            return
        saved = saved_settings(self.network, self.weights_path, self.chosen)
        copied = (self.weights_path.parent.parent / "config.pbtxt").exists()
        if saved.others and not copied:  # of a copy it was said before
            _log.warning(
                "%s: hyper-parameters that are no arguments of %s are left out: %s",
                self.weights_path.name,
                type(self.examined).__name__,
                ", ".join(saved.others),
            )
        if (values := {**self.chosen, **saved.values}) != self.taken:
            self.settings = network_settings(self.network, values)

    @classmethod
    def made_with(cls) -> Call | None:
        """Return the call of :func:`pyg`, with an example in memory as a file."""
        if "given" not in vars(cls):
            return None
        arguments, files = {**cls.given}, dict[str, bytes]()
        if isinstance(arguments["example"], BaseData):
            content = io.BytesIO()
            torch.save(arguments["example"].cpu(), content)
            arguments["example"] = _EXAMPLE
            files[_EXAMPLE] = content.getvalue()
        if isinstance(arguments["network"], torch.nn.Module):
            arguments["network"] = deepcopy(arguments["network"]).cpu()
        return Call(pyg, arguments, files)

    def setup(self, device: str) -> None:
        """Make the network and load its weights."""
        module = self._network()
        if module is self.examined:
            module = deepcopy(module)
        if self.weights_path is not None:
            _load(module, self.weights_path)
        self._module = module.to(device).eval()
        self._layers = (
            Layers(self._module, self.findings.call.graphs, self.findings.gives)
            if self.findings.gives_batch
            else None
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
        """Return the examined network, which is shared, or one with other settings."""
        same = self.settings == type(self).settings
        return self.examined if same else _made(self.network, self.settings)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Run the network on merged graphs."""
        found = self.findings
        with self._layers.of(batch) if self._layers else nullcontext():
            outputs = found.call(self._module, batch)
        named = {
            name: torch.atleast_1d(tensor)
            for name, tensor in zip(found.outputs, outputs.values(), strict=True)
        }
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
        several = isinstance(example, list | tuple)
        raise SchemaError(
            f"the example is a {type(example).__name__}; it must be "
            f"{'one ' if several else 'a '}torch_geometric Data or HeteroData"
            f"{', such as the first of them' if several else ''}"
        )
    if (graphs := getattr(example, "_num_graphs", 1)) > 1:
        raise SchemaError(
            f"the example is a Batch of {graphs} graphs; it must be one graph, such as batch[0]"
        )
    return example  # pyright: ignore[reportReturnType]


def _weights(folder: Path, weights: str | Path) -> Path:
    """Return the file beside the caller's, or its copy in a model's folder."""
    path = folder / weights
    return path if path.exists() else folder / placed_name(path)


def _unwrapped(network: Any) -> Maker:
    """Return the module within ``DataParallel`` or ``torch.compile``, which hide its signature.

    Raises:
        SchemaError: it is nothing that makes a module.
    """
    if isinstance(network, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return _unwrapped(network.module)
    if inner := getattr(network, "_orig_mod", None):
        _log.warning("%s is served without torch.compile", type(inner).__name__)
        return _unwrapped(inner)
    if isinstance(network, torch.nn.Module) or (
        callable(network)
        and (not isinstance(network, type) or issubclass(network, torch.nn.Module))
    ):
        return cast("Maker", network)
    shown = repr(network) if isinstance(network, type) else f"a {type(network).__name__}"
    raise SchemaError(f"the network is {shown}; it must be a torch.nn.Module, or make one")


def _made(network: Maker, settings: Any) -> torch.nn.Module:
    if isinstance(network, torch.nn.Module):
        return network
    try:
        made: Any = network(**asdict(settings), **type(settings).others)
    except Exception as error:
        given = ", ".join(
            f"{k}={v!r}" for k, v in {**asdict(settings), **type(settings).others}.items()
        )
        raise SchemaError(
            f"{network.__name__}({given}) fails: {told(error, network.__name__)}"
        ) from error
    made = _unwrapped(made)
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
