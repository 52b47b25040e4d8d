"""Folders of weights: ``weights.safetensors`` (tensors) and ``weights.json`` (the card).

Reading them runs no code. The card (:mod:`naiad.card`) has the sha256 of the tensors, so that files
of different networks are not served together.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from zipfile import ZipFile, is_zipfile

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
_PROTOCOL: Final = 2
"""Of pickle: the only one that torch reads without running code."""


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


def placed_name(weights: Path) -> str:
    """Return the name that weights, a file or a folder, have in a model's folder."""
    return "weights" if weights.is_dir() else f"weights{weights.suffix}"


def read_checkpoint(
    path: Path,
    ignored: Sequence[str] = (),
    largest: int = _LARGEST_CHECKPOINT,
    *,
    mapped: bool = False,
) -> Any:
    """Return what ``torch.save`` wrote, read with ``weights_only=True``: nothing in it is run.

    Args:
        path: the file.
        ignored: full names of functions and classes that the file may call; a function that does
            nothing is called instead.
        largest: number of bytes that it may have, unpacked.
        mapped: map the tensors into memory instead of reading them, if the file allows it; for a
            look at the rest of it.

    Raises:
        WeightsError: it is larger, calls anything else, or is damaged.
    """
    import torch
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    with safe_globals([(_do_nothing, name) for name in ignored]):
        try:
            size = _unpacked_size(path)
            if size > largest:
                raise WeightsError(f"{size:,} bytes; at most {largest:,} are read")
            return torch.load(
                path, map_location="cpu", weights_only=True, mmap=mapped and is_zipfile(path)
            )
        except WeightsError:
            raise
        except Exception as error:  # a damaged pickle may raise anything
            # torch puts advice to trust the file in place of the reason.
            cause = error.__context__ or error
            reason = (str(cause) or type(cause).__name__).splitlines()[0]
            if (protocol := _protocol(path)) not in (None, _PROTOCOL):
                reason = (
                    f"it has pickle protocol {protocol}; only {_PROTOCOL}, which torch.save writes "
                    "by default, can be"
                )
            with suppress(Exception):
                if names := get_unsafe_globals_in_checkpoint(path):
                    reason = f"it asks for {', '.join(sorted(names))}"
            raise WeightsError(
                f"cannot be read safely ({reason}); nothing in it was run"
            ) from error


def read_state_dict(path: Path) -> Mapping[str, torch.Tensor]:
    """Return the tensors of a checkpoint.

    Raises:
        WeightsError: as :func:`read_checkpoint` and :func:`state_dict_of`; says how to save them.
    """
    with _saying_how_to_save():
        return state_dict_of(read_checkpoint(path))


def read_hyper_parameters(path: Path) -> dict[str, Any]:
    """Return the ``hyper_parameters`` of a checkpoint of PyTorch Lightning; of others, nothing.

    Raises:
        WeightsError: as :func:`read_checkpoint`; says how to save the tensors alone.
    """
    with _saying_how_to_save():
        content = read_checkpoint(path, mapped=True)
    if not isinstance(content, Mapping):
        return {}
    found = cast("Mapping[str, Any]", content).get("hyper_parameters")
    known = cast("Mapping[Any, Any]", found) if isinstance(found, Mapping) else {}
    return {str(name): value for name, value in known.items()}


@contextmanager
def _saying_how_to_save() -> Generator[None]:
    try:
        yield
    except WeightsError as error:
        hint = "save it with torch.save(model.state_dict(), FILE)"
        raise WeightsError(f"{error}; {hint}") from error


def state_dict_of(content: Any) -> Mapping[str, torch.Tensor]:
    """Return what a checkpoint holds if that is a ``state_dict``, else its ``state_dict`` entry.

    Raises:
        WeightsError: it has neither.
    """
    import torch

    found = content
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor)
        for name, tensor in cast(Mapping[Any, Any], found).items()
    ):
        raise WeightsError("no state_dict")
    return cast(Mapping[str, torch.Tensor], found)


def pack(module: torch.nn.Module) -> tuple[bytes, str]:
    """Return a network's parameters as the bytes of a safetensors file, and their sha256."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in module.state_dict().items()}
    data = _safetensors("torch").save(tensors)
    return data, hashlib.sha256(data).hexdigest()


def _safetensors(kind: str) -> Any:
    # Imported here, as the command line reads cards without torch.
    try:
        return import_module(f"safetensors.{kind}")
    except ImportError as error:
        raise MissingExtra("all", error.name or "safetensors") from error


def _protocol(path: Path) -> int | None:
    """Return the pickle protocol of a file; None if it does not say one."""
    try:
        if not is_zipfile(path):
            with path.open("rb") as file:
                start = file.read(2)
        else:
            with ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith("data.pkl")]
                with archive.open(names[0]) as file:
                    start = file.read(2)
    except Exception:  # a damaged archive may raise anything
        return None
    return start[1] if start[:1] == b"\x80" and len(start) > 1 else None


def _unpacked_size(path: Path) -> int:
    if not is_zipfile(path):  # as torch wrote them before 1.6
        return path.stat().st_size
    with ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _do_nothing(*_: Any) -> None:
    """Stand for what a checkpoint calls."""
