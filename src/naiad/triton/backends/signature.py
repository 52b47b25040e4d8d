"""Inputs and outputs of a model file, as declared by the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from naiad.files import suffix_of

if TYPE_CHECKING:
    from naiad.triton.model_config import ModelConfig

Kind: TypeAlias = Literal["torchscript", "export", "aotinductor", "onnx", "graphdef", "savedmodel"]

TORCH_DTYPES: Final[dict[str, str]] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""The protocol's dtype for each of torch's, as in NVIDIA's PyTorch backend: the only unsigned one
is ``uint8``. ``BYTES`` is a list of strings."""

ONNX_DTYPES: Final[Mapping[str, str]] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""The protocol's dtype for each of ONNX Runtime's types."""

TENSORFLOW_DTYPES: Final[Mapping[str, str]] = TORCH_DTYPES | {
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "string": "BYTES",
}
"""The protocol's dtype for each of TensorFlow's."""


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a model file.

    Attributes:
        name: its name in the file; an output of a TorchScript file is ``OUTPUT__<number>``.
        dtype: its name in the KServe v2 protocol; None if the file does not say.
        shape: sizes, -1 for any, with the batch dimension; None if the file does not say.
        aliases: other names under which a config may refer to it, such as ``ARGS[0]``.
    """

    name: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model file, in order.

    Attributes:
        kind: the kind of file.
        inputs: None if the model takes a dictionary of tensors, whose names the file does not
            declare.
        outputs: None if it returns a dictionary or a list of undeclared length.
    """

    kind: Kind
    inputs: tuple[Port, ...] | None
    outputs: tuple[Port, ...] | None


def read_signature(file: Path, config: ModelConfig | None = None) -> Signature:
    """Read the signature of a model file of the pytorch, onnxruntime or tensorflow backend.

    The file is loaded, so it must be trusted: an AOTInductor package is a shared library.

    Args:
        file: the file; a folder is a SavedModel.
        config: its model's config, which TensorFlow needs: a SavedModel has several signatures.

    Raises:
        RepositoryError: the file cannot be loaded; says why.
        MissingExtra: the framework is not installed.
    """
    if config is not None and config.backend == "tensorflow":
        from naiad.triton.backends.models import load_tensorflow_of

        return load_tensorflow_of(config, file).signature
    if suffix_of(file) == ".onnx":
        from naiad.triton.backends.onnx_file import load_onnx

        return load_onnx(file).signature
    from naiad.triton.backends.torch_file import load_torch

    return load_torch(file).signature
