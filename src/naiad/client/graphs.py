"""PyTorch Geometric graphs as requests: each tensor under the name of its input."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from naiad.core.schema import input_name
from naiad.errors import InvalidInput

_OWN: Final = f"{Path(__file__).parents[1]}/"


class Graph(Protocol):
    """A ``Data`` or ``HeteroData`` of PyTorch Geometric, which is not imported for that."""

    @property
    def stores(self) -> Sequence[Any]:
        """The attributes of the graph, by type."""
        ...


Inputs: TypeAlias = "Mapping[str, ArrayLike] | Graph"
"""A request: tensors by name, or a graph."""


class GraphArrays(dict[str, Any]):
    """The tensors of a graph, of which a model may take only some."""


def is_graph(value: Inputs | None) -> TypeGuard[Graph]:
    """Return True for a graph."""
    return hasattr(value, "stores") and not isinstance(value, Mapping)


def arrays_of(graph: Graph) -> GraphArrays:
    """Return the tensors of a graph by input name; a number has shape ``[1]``."""
    found = GraphArrays()
    for store in graph.stores:
        for key, value in store.items():
            if hasattr(value, "numpy"):
                value = value.numpy(force=True)
            elif not isinstance(value, bool | int | float | np.ndarray):
                continue
            found[input_name(store._key, key)] = np.atleast_1d(value)
    return found


def _refuse_batch(arrays: GraphArrays, inputs: Iterable[str]) -> None:
    """Raise InvalidInput for several graphs merged in one, whose answer would be that of one."""
    for name in arrays.keys() - set(inputs):
        if name.rpartition("__")[2] == "batch" and arrays[name].max(initial=0) > 0:
            raise InvalidInput(
                f"{name} says that this is a batch of {arrays[name].max() + 1} graphs; send each "
                "as a request of its own, as with infer_many(model, batch.to_data_list())"
            )


def of_model(arrays: GraphArrays, inputs: Iterable[str], model: str) -> Mapping[str, Any]:
    """Return the tensors that a model takes; warn about the others, once for a model.

    Raises:
        InvalidInput: the graph is a batch of several.
    """
    inputs = [*inputs]
    _refuse_batch(arrays, inputs)
    taken = {name: arrays[name] for name in inputs if name in arrays}
    if left := [name for name in arrays if name not in taken]:
        _note(model, ", ".join(left))
    return taken


@cache
def _note(model: str, left: str) -> None:
    """Warn about attributes that are left out, the first time in this process."""
    warnings.warn(f'model "{model}" does not take {left}', stacklevel=_level())


def _level() -> int:
    """Return the ``stacklevel`` of the first caller outside Naiad, whose line a warning shows."""
    frame, level = sys._getframe(1), 1  # pyright: ignore[reportPrivateUsage]
    while frame.f_back and frame.f_code.co_filename.startswith(_OWN):
        frame, level = frame.f_back, level + 1
    return level


def as_tensors(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return outputs as torch tensors, except those of ``bytes``."""
    import torch

    return {
        name: array if array.dtype == object else torch.from_numpy(array)
        for name, array in arrays.items()
    }
