"""Predictions of networks: a tensor, or a dictionary, tuple or list with several."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray

from naiad.errors import PipelineError

Path: TypeAlias = "tuple[str | int, ...]"

_MAIN: Final = "\0main"  # stands for the main array in a structure


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for a batch.

    Attributes:
        main: the tensor with the scores, ``[images, channels, ...]``.
        rest: of each image, the structure with the other arrays, as bytes that only this process
            reads; b"" of a network that returns one tensor.
    """

    main: torch.Tensor
    rest: NDArray[np.object_]


def predictions_of(found: Any, images: int, names: Sequence[str], channels: int) -> Predictions:
    """Return the predictions for a batch in what a network returned.

    The main one has one of ``names``, or else is the first with this number of channels, or else
    the first.

    Raises:
        PipelineError: there is no tensor.
    """
    tensors = dict(_tensors(found))
    if not tensors:
        raise PipelineError(
            f"the bundle's network returns a {type(found).__name__}; it must return a tensor, or a "
            "dictionary or tuple with tensors"
        )
    named = [path for name in names for path in tensors if path and path[-1] == name]
    fitting = [path for path, one in tensors.items() if one.ndim > 1 and one.shape[1] == channels]
    chosen = next(iter([*named, *fitting, *tensors]))
    rest = np.empty(images, np.object_)
    for image in range(images):
        rest[image] = pickle.dumps(_of_image(found, image, (), chosen)) if chosen else b""
    return Predictions(tensors[chosen], rest)


def rebuilt(rest: bytes, main: Any, wrap: Callable[[NDArray[Any]], Any]) -> Any:
    """Return an image's predictions in the structure that the network returned.

    Args:
        rest: of `Predictions`.
        main: what the main array became.
        wrap: makes of another array what transforms take.
    """
    return _put(pickle.loads(rest), main, wrap) if rest else main  # our own bytes


def _tensors(found: Any, path: Path = ()) -> Iterator[tuple[Path, torch.Tensor]]:
    if isinstance(found, torch.Tensor):
        yield path, found
    for key, value in _items(found):
        yield from _tensors(value, (*path, key))


def _items(found: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(found, Mapping):
        yield from cast("Mapping[Any, Any]", found).items()
    elif isinstance(found, list | tuple):
        yield from enumerate(cast("Sequence[Any]", found))


def _of_image(found: Any, image: int, path: Path, main: Path) -> Any:
    """Return the part of a structure that is about one image, as MONAI splits batches."""
    if path == main:
        return _MAIN
    if isinstance(found, torch.Tensor):
        return found[image].detach().cpu().numpy() if found.ndim else found.item()
    if not isinstance(found, Mapping | list | tuple):
        return found
    parts = {key: _of_image(value, image, (*path, key), main) for key, value in _items(found)}
    return parts if isinstance(found, Mapping) else [*parts.values()]


def _put(part: Any, main: Any, wrap: Callable[[NDArray[Any]], Any]) -> Any:
    if isinstance(part, str):
        return main if part == _MAIN else part
    if isinstance(part, np.ndarray):
        return wrap(cast("NDArray[Any]", part))
    if isinstance(part, Mapping | list):
        parts = {key: _put(value, main, wrap) for key, value in _items(part)}
        return parts if isinstance(part, Mapping) else [*parts.values()]
    return part
