"""Inputs and outputs of a model file, as declared by the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from naiad.files import suffix_of
from naiad.networks.network import Port

if TYPE_CHECKING:
    from naiad.triton.model_config import ModelConfig

Kind: TypeAlias = Literal[
    "torchscript", "export", "aotinductor", "onnx", "openvino", "graphdef", "savedmodel"
]

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

TENSORFLOW_DTYPES: Final[Mapping[str, str]] = TORCH_DTYPES | {
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "string": "BYTES",
}
"""The protocol's dtype for each of TensorFlow's."""


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
    """Read the signature of a model file of one of the backends for files.

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
    if config is not None and config.backend == "openvino":
        from naiad.triton.backends.openvino_file import load_openvino

        return load_openvino(file).signature
    if suffix_of(file) == ".onnx":
        from naiad.triton.backends.onnx_file import load_onnx

        return load_onnx(file).signature
    from naiad.triton.backends.torch_file import load_torch

    return load_torch(file).signature
