"""Any model's ``config.pbtxt``, as Naiad's backends and checks read it.

Complaints name the file and the field: ``models/gat/config.pbtxt: input[0].name is 'x'; ...``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from google.protobuf import json_format

from naiad.errors import RepositoryError
from naiad.triton.config import read_config, read_parameters

CONFIG: Final = "config.pbtxt"

# Backend that Triton infers from a `platform`.
PLATFORMS: Final[Mapping[str, str]] = {
    "pytorch_libtorch": "pytorch",
    "torch_aoti": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
    "ensemble": "ensemble",
}
FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "python": ("model.py",),
    "pytorch": ("model.pt", "model.pt2"),
    "onnxruntime": ("model.onnx",),
    "tensorrt": ("model.plan",),
    "openvino": ("model.xml", "model.onnx"),
    "tensorflow": ("model.graphdef", "model.savedmodel"),
}
"""Files that a backend looks for in a version's folder, in order."""
_PLATFORM_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "tensorflow_graphdef": ("model.graphdef",),
    "tensorflow_savedmodel": ("model.savedmodel",),
}


@dataclass(frozen=True, slots=True)
class TensorConfig:
    """One ``input`` or ``output`` of a config.

    Attributes:
        field: its place in the config, such as ``input[0]``.
        name: the tensor's name.
        dtype: its name in the KServe v2 protocol, such as ``FP32``; "" if missing.
        dims: the dims that the model file sees, without the batch dimension: ``reshape`` if the
            config has one, else ``dims``. -1 is any size.
        optional: a request may omit it.
    """

    field: str
    name: str
    dtype: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model's configuration and its folder.

    Attributes:
        path: the model's folder.
        name: the model's name: the folder's if the config has none.
        backend: as written or as Triton infers it, such as ``pytorch``; "" if unknown.
        platform: as written, or as Triton infers TensorFlow's from the file.
        max_batch_size: 0 if requests have no leading batch dimension.
        inputs: in order.
        outputs: in order.
        parameters: the strings of ``parameters``.
        message: the whole config as Triton's protobuf message.
    """

    path: Path
    name: str
    backend: str
    platform: str
    max_batch_size: int
    inputs: tuple[TensorConfig, ...]
    outputs: tuple[TensorConfig, ...]
    parameters: Mapping[str, str]
    message: Any = field(repr=False, compare=False)

    @property
    def file(self) -> Path:
        """The ``config.pbtxt``."""
        return self.path / CONFIG

    def wrong(self, what: str) -> RepositoryError:
        """Return an error about this config; ``what`` begins with the field."""
        return RepositoryError(f"{self.file}: {what}")

    def model_file(self, version: int | str) -> Path:
        """Return the model file of a version: ``default_model_filename`` or the backend's default.

        Raises:
            RepositoryError: not found; lists the existing files.
        """
        folder = self.path / str(version)
        filename = self.message.default_model_filename
        usual = _PLATFORM_FILES.get(self.platform) or FILES.get(self.backend, ())
        # Triton fills in the field with the C++ backend's default (2.51).
        names = tuple(dict.fromkeys((*filter(None, [filename]), *usual)))
        for name in names:
            if (folder / name).exists():
                return folder / name
        there = ", ".join(sorted(p.name for p in folder.glob("*"))) or "nothing"
        raise RepositoryError(
            f"{folder} has no {' or '.join(names)}, which the {self.backend} backend loads; it has "
            f"{there}. Rename the file, or set default_model_filename in {CONFIG}"
        )

    def flag(self, key: str, default: bool) -> bool:
        """Return a parameter that is ``true`` or ``false``, as Triton's backends write them.

        Raises:
            RepositoryError: any other value.
        """
        value = self.parameters.get(key)
        if value is None:
            return default
        if value.lower() not in _FLAGS:
            raise self.wrong(f'parameters["{key}"] is {value!r}; it must be true or false')
        return _FLAGS[value.lower()]

    def count(self, key: str, default: int | None = None) -> int | None:
        """Return a parameter that is a whole number, 0 or more.

        Raises:
            RepositoryError: any other value.
        """
        value = self.parameters.get(key)
        if value is None:
            return default
        if not value.strip().isdecimal():
            raise self.wrong(f'parameters["{key}"] is {value!r}; it must be a whole number')
        return int(value)


_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def read_model_config(model: Path) -> ModelConfig:
    """Read the config of the model in the folder ``model``; empty if there is no file.

    Raises:
        RepositoryError: the file is not a model configuration; says where it is wrong.
    """
    file = model / CONFIG
    message = read_config(file) if file.is_file() else _empty()
    return _model_config(message, model)


def parse_model_config(text: str, model: Path) -> ModelConfig:
    """Parse a config as Triton hands it to a Python model: completed, as JSON."""
    return model_config_of(json.loads(text), model)


def model_config_of(said: Mapping[str, Any], model: Path) -> ModelConfig:
    """Return the config of a dictionary in the JSON form of Triton's protobuf message."""
    message = json_format.ParseDict(dict(said), _empty(), ignore_unknown_fields=True)
    return _model_config(message, model)


def versions(model: Path) -> list[int]:
    """Return the versions in a model's folder, ascending."""
    return sorted(int(p.name) for p in model.iterdir() if p.is_dir() and p.name.isdecimal())


def _empty() -> Any:
    return import_module("tritonclient.grpc.model_config_pb2").ModelConfig()


def _model_config(message: Any, model: Path) -> ModelConfig:
    backend = message.backend or PLATFORMS.get(message.platform, "") or _backend_of_files(model)
    return ModelConfig(
        path=model,
        name=message.name or model.name,
        backend=backend,
        platform=message.platform
        or (_tensorflow_platform(message, model) if backend == "tensorflow" else ""),
        max_batch_size=message.max_batch_size,
        inputs=_tensors("input", message.input),
        outputs=_tensors("output", message.output),
        parameters=read_parameters(message),
        message=message,
    )


def _tensors(kind: Literal["input", "output"], entries: Any) -> tuple[TensorConfig, ...]:
    names = import_module("tritonclient.grpc.model_config_pb2").DataType
    return tuple(
        TensorConfig(
            field=f"{kind}[{number}]",
            name=entry.name,
            dtype=_kserve(names.Name(entry.data_type)),
            dims=tuple(entry.reshape.shape if entry.HasField("reshape") else entry.dims),
            optional=kind == "input" and entry.optional,
        )
        for number, entry in enumerate(entries)
    )


def _kserve(name: str) -> str:
    short = name.removeprefix("TYPE_")
    return {"STRING": "BYTES", "INVALID": ""}.get(short, short)


def _backend_of_files(model: Path) -> str:
    """Return the backend whose model file the newest version has, as Triton infers it."""
    found = versions(model) if model.is_dir() else []
    for backend, names in FILES.items() if found else ():
        if any((model / str(found[-1]) / name).exists() for name in names):
            return backend
    return ""


def _tensorflow_platform(message: Any, model: Path) -> str:
    """Return the platform of the newest version's file, or that of its name; "" if unknown."""
    named = {names[0]: platform for platform, names in _PLATFORM_FILES.items()}
    found = versions(model) if model.is_dir() else []
    for name in filter(None, (message.default_model_filename, *FILES["tensorflow"])):
        file = model / str(found[-1] if found else 1) / name
        if file.exists():
            return "tensorflow_savedmodel" if file.is_dir() else "tensorflow_graphdef"
    return named.get(message.default_model_filename, "")
