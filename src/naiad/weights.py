"""Folders of weights: ``weights.safetensors`` (tensors) and ``weights.json`` (the card).

Reading them runs no code. The card (:mod:`naiad.card`) has the sha256 of the tensors, so that files
of different networks are not served together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from naiad.errors import MissingExtra, WeightsError
from naiad.typed_json import decode

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

T = TypeVar("T")

CARD_FILE: Final = "weights.json"
TENSORS_FILE: Final = "weights.safetensors"

_LARGEST_TEXT: Final = 1 << 20
_LARGEST_HEADER: Final = 1 << 20
_LARGEST_CHECKPOINT: Final = 1 << 30
_BLOCK: Final = 1 << 20


def read_text(path: Path) -> str:
    """Read a small text file.

    Raises:
        WeightsError: the file is missing, over 1 MB, or not text.
    """
    try:
        if (size := path.stat().st_size) > _LARGEST_TEXT:
            raise WeightsError(f"{path}: {size:,} bytes; at most {_LARGEST_TEXT:,} are read")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error


def read_json(path: Path, kind: type[T]) -> T:
    """Read a small JSON file as :func:`naiad.typed_json.decode` does.

    Raises:
        WeightsError: the file cannot be read or is not a ``kind``; names the field.
    """
    text = read_text(path)
    try:
        return decode(text, kind)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error


def read_tensors(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], sha256: str
) -> dict[str, torch.Tensor]:
    """Read the float32 tensors of a folder, which must have these names and ``shapes``.

    Raises:
        WeightsError: the file is missing, larger than the shapes need, of another ``sha256``, or
            does not fit.
    """
    return _read(folder, shapes, sha256, "torch")


def read_arrays(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], sha256: str
) -> dict[str, NDArray[np.float32]]:
    """Read NumPy arrays, without torch; otherwise as :func:`read_tensors`."""
    return _read(folder, shapes, sha256, "numpy")


def _read(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], sha256: str, kind: str
) -> dict[str, Any]:
    path = folder / TENSORS_FILE
    largest = 4 * sum(map(math.prod, shapes.values())) + _LARGEST_HEADER
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= largest else b""
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error
    if size > largest:
        raise WeightsError(f"{path}: {size:,} bytes; the architecture needs at most {largest:,}")
    _check_digest(path, hashlib.sha256(data).hexdigest(), sha256)
    library = _safetensors(kind)
    try:
        tensors = library.load(data)
    except Exception as error:  # safetensors raises its own errors and others
        raise WeightsError(f"{path}: not a safetensors file ({error})") from error
    check_tensors(tensors, shapes, str(path))
    return dict(tensors)


def check_file(path: Path, sha256: str) -> None:
    """Check the sha256 of a network's file.

    Raises:
        WeightsError: the file cannot be read or has another sha256.
    """
    _check_digest(path, file_sha256(path), sha256)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal.

    Raises:
        WeightsError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error})") from error
    return digest.hexdigest()


def _check_digest(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise WeightsError(
            f"{path}: its sha256 is {found}, but {CARD_FILE} was written for "
            f"{expected or 'no file'}; the two do not belong together"
        )


def check_tensors(
    tensors: Mapping[str, torch.Tensor | NDArray[Any]],
    shapes: Mapping[str, tuple[int, ...]],
    where: str,
) -> None:
    """Check names, shapes and dtypes of a network's tensors or arrays.

    Raises:
        WeightsError: names the tensor that is missing, unknown, or of another shape or dtype.
    """
    for problem, names in (
        ("has no", shapes.keys() - tensors.keys()),
        ("has an unknown tensor", tensors.keys() - shapes.keys()),
    ):
        if names:
            raise WeightsError(f"{where} {problem} {min(names)}: not the weights of this network")
    for name, shape in shapes.items():
        found, dtype = tensors[name], str(tensors[name].dtype)
        needed = "torch.float32" if dtype.startswith("torch.") else "float32"
        if tuple(found.shape) != tuple(shape) or dtype != needed:
            raise WeightsError(
                f"{where}: {name} is {dtype} {list(found.shape)}; "
                f"this architecture needs {needed} {list(shape)}"
            )


def read_state_dict(path: Path) -> Mapping[str, torch.Tensor]:
    """Read a ``state_dict``, or a mapping that has one, from a file of ``torch.save``.

    The file is read with ``weights_only=True``, which runs no code.

    Raises:
        WeightsError: the file is over 1 GB, cannot be read safely, or has no ``state_dict``.
    """
    import torch

    try:
        size = path.stat().st_size
        if size > _LARGEST_CHECKPOINT:
            raise WeightsError(f"{size:,} bytes; at most {_LARGEST_CHECKPOINT:,} are read")
        found = torch.load(path, map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"cannot be read safely as tensors ({reason}); "
            "save it with torch.save(model.state_dict(), FILE)"
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in cast(Mapping[Any, Any], found).items()
    ):
        raise WeightsError("no state_dict: save it with torch.save(model.state_dict(), FILE)")
    return cast(Mapping[str, torch.Tensor], found)


def pack(module: torch.nn.Module) -> tuple[bytes, str]:
    """Return a network's parameters as the bytes of a safetensors file, and their sha256."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    data = _safetensors("torch").save(tensors)
    return data, hashlib.sha256(data).hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    draft.write_bytes(data)
    draft.replace(path)


def _safetensors(kind: str) -> Any:
    # Imported here, as the command line reads cards without torch.
    try:
        return import_module(f"safetensors.{kind}")
    except ImportError as error:
        raise MissingExtra("all", error.name or "safetensors") from error
