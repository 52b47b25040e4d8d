"""Reading a PyTorch Lightning checkpoint without letting it run anything.

A checkpoint is a pickle, and a pickle is a program. This reads one with an allow-list of the five
names that a NuGraph3 checkpoint needs, of which only ``OrderedDict`` is the real thing: tensors
become descriptions of where their bytes are, and what belongs to the optimiser and its schedule
(``getattr``, ``OneCycleLR``) becomes a placeholder that does nothing when called.

The file is the zip of ``torch.save``: ``<root>/data.pkl``, ``<root>/byteorder`` and one
``<root>/data/<key>`` per storage.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from naiad.core.schema import Array
from naiad.errors import WeightsError

_LARGEST_PICKLE: Final = 1 << 26
_LARGEST_STORAGE: Final = 1 << 28
_FLOATS: Final = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a NuGraph3 checkpoint is read for."""

    state: Mapping[str, Array]
    hyper_parameters: Mapping[str, Any]
    epoch: int
    lightning: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Read parameters and hyper-parameters of a checkpoint; nothing in it is run.

    Raises:
        WeightsError: the file is no such checkpoint, is damaged, or asks for anything that is not
            on the allow-list; the message names it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: not a file of torch.save ({error})") from error


def _read(archive: zipfile.ZipFile) -> Checkpoint:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise WeightsError("not a file of torch.save: it has no data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    order = f"{root}byteorder"
    if order in archive.namelist() and _entry(archive, order, 16) != b"little":
        raise WeightsError("written on a big-endian machine, which is not supported")
    content = _unpickle(_entry(archive, pickles[0], _LARGEST_PICKLE))
    if not isinstance(content, dict) or not {"state_dict", "hyper_parameters"} <= content.keys():
        raise WeightsError("not a Lightning checkpoint: no state_dict and hyper_parameters")
    found = cast(dict[str, Any], content)
    state = found["state_dict"]
    if not isinstance(state, dict) or not isinstance(found["hyper_parameters"], dict):
        raise WeightsError("its state_dict and hyper_parameters must be dictionaries")
    tensors: dict[str, Array] = {}
    for name, tensor in cast(dict[Any, Any], state).items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise WeightsError(f"state_dict[{name!r}] is not a floating-point tensor")
        tensors[name] = tensor.read(archive, root, name)
    return Checkpoint(
        tensors,
        cast(dict[str, Any], found["hyper_parameters"]),
        int(found.get("epoch", -1)),
        str(found.get("pytorch-lightning_version", "")),
    )


def _entry(archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """The bytes of a zip entry, whose size is checked before anything is read."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise WeightsError(f"damaged: {name} is missing") from None
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > largest:
        raise WeightsError(f"{name} is compressed or has {info.file_size:,} bytes; refused")
    return archive.read(info)


def _unpickle(data: bytes) -> object:
    try:
        # C's unpickler makes room for as many memo entries as the largest number it meets.
        for opcode, argument, _ in pickletools.genops(data):
            if "PUT" in opcode.name and int(argument or 0) > len(data):
                raise WeightsError("damaged: memo index out of range")
        return _Unpickler(io.BytesIO(data)).load()
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        raise WeightsError(f"damaged: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers in the file."""

    dtype: np.dtype[Any]
    key: str
    numel: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage, as ``torch._utils._rebuild_tensor_v2`` is told to make it."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self, archive: zipfile.ZipFile, root: str, name: str) -> Array:
        dtype, numel = self.storage.dtype, self.storage.numel
        numbers = (self.offset, numel, *self.shape, *self.stride)
        if not all(type(n) is int and n >= 0 for n in numbers) or len(self.shape) != len(
            self.stride
        ):
            raise WeightsError(f"damaged: {name} has shape {self.shape}, stride {self.stride}")
        last = self.offset + sum(
            (size - 1) * step for size, step in zip(self.shape, self.stride, strict=True)
        )
        if math.prod(self.shape) == 0 or last >= numel or math.prod(self.shape) > numel:
            raise WeightsError(f"damaged: {name} is larger than its storage, or empty")
        if numel * dtype.itemsize > _LARGEST_STORAGE:
            raise WeightsError(f"{name} has {numel:,} numbers; too large for NuGraph3")
        data = _entry(archive, f"{root}data/{self.storage.key}", _LARGEST_STORAGE)
        if len(data) != numel * dtype.itemsize:
            raise WeightsError(f"damaged: {name} has {len(data)} bytes in place of {numel} numbers")
        strides = tuple(step * dtype.itemsize for step in self.stride)
        start = np.frombuffer(data, dtype)[self.offset :]
        view = np.lib.stride_tricks.as_strided(start, self.shape, strides, writeable=False)
        return np.array(view, np.float32, order="C")


@dataclass(frozen=True, slots=True)
class _Name:
    """Stands for a callable of the pickle. Frozen and slotted: a pickle can set nothing on it."""

    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.name != "_rebuild_tensor_v2":
            return _PLACEHOLDER
        storage, offset, shape, stride = args[:4]
        if not isinstance(storage, _Storage):
            return _PLACEHOLDER
        return _Tensor(storage, offset, tuple(shape), tuple(stride))


_PLACEHOLDER: Final = _Name("placeholder")

_ALLOWED: Final[Mapping[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Name("_rebuild_tensor_v2"),
    ("__builtin__", "getattr"): _PLACEHOLDER,
    ("builtins", "getattr"): _PLACEHOLDER,
    ("torch.optim.lr_scheduler", "OneCycleLR"): _PLACEHOLDER,
    **{("torch", name): _Name(name) for name in (*_FLOATS, "LongStorage", "IntStorage")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise WeightsError(
                f"refused: it asks for {module}.{name}, which no NuGraph3 checkpoint needs. "
                "Nothing of it was run"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        kind, storage, key, _, numel = pid
        if kind != "storage" or not isinstance(storage, _Name) or type(numel) is not int:
            raise WeightsError(f"damaged: unknown persistent object {kind!r}")
        dtype = _FLOATS.get(storage.name)
        return _PLACEHOLDER if dtype is None else _Storage(dtype, str(key), numel)
