"""Triton's model configuration from a pipeline's schema, through Triton's protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from naiad.core.schema_json import SCHEMA_PARAMETER, schema_text
from naiad.errors import RepositoryError
from naiad.native.library import BACKEND

if TYPE_CHECKING:
    from naiad.core.pipeline import Pipeline
    from naiad.core.schema import Tensor

PIPELINE_PARAMETER = "naiad_pipeline"
"""Parameter of models written by Naiad: the pipeline's spec."""
ORIGIN_PARAMETER = "naiad_origin"
"""Parameter of those of a user's file: its name and the class's, ``my_model.py:MyModel``."""


def model_config(
    kind: type[Pipeline],
    parameters: Mapping[str, str],
    *,
    name: str | None = None,
    label_files: Mapping[str, str] | None = None,
) -> Any:
    """Return the ``ModelConfig`` message of a pipeline.

    Naiad merges requests, so ``max_batch_size`` is 0 (tensors keep their shapes, without a batch
    dimension) unless the contract has one. One instance suffices, since it runs no model code; the
    parameter ``instances`` is the number of workers behind it.
    ``label_files`` are names of files beside ``config.pbtxt``, by output.
    """
    pb = _protobuf()

    config = pb.ModelConfig(name=name or kind.name, backend=BACKEND)
    config.max_batch_size = kind.max_batch_size
    for tensor_name, tensor in kind.inputs.items():
        config.input.add(
            name=tensor_name,
            data_type=_data_type(tensor),
            dims=_dims(kind, tensor),
            optional=tensor.optional,
            format=pb.ModelInput.Format.Value(f"FORMAT_{tensor.layout or 'NONE'}"),
        )
    for tensor_name, tensor in kind.outputs.items():
        config.output.add(
            name=tensor_name,
            data_type=_data_type(tensor),
            dims=_dims(kind, tensor),
            label_filename=(label_files or {}).get(tensor_name, ""),
        )
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
    schema = {SCHEMA_PARAMETER: schema_text(kind.inputs, kind.outputs)}
    for key, value in {**parameters, **schema}.items():
        config.parameters[key].string_value = value
    return config


def write_config(config: Any, path: Path) -> None:
    """Write a ``ModelConfig`` as ``config.pbtxt``."""
    path.write_text(text_format.MessageToString(config), encoding="utf-8")


def read_config(path: Path) -> Any:
    """Read a ``config.pbtxt``.

    Raises:
        RepositoryError: the file is not a model configuration; says where it is wrong.
    """
    pb = _protobuf()

    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), pb.ModelConfig())
    except text_format.ParseError as error:
        raise RepositoryError(f"{path}: {error}") from None


def refuse_response_cache(config: Mapping[str, Any]) -> None:
    """Refuse to serve a pipeline with Triton's response cache; ``config`` is its JSON form.

    Seen in Triton 2.51 with deferred replies: an error is cached as an answer without outputs and
    returned as a success to the next equal request; so is an answer with only some outputs; and
    request parameters are not compared.

    Raises:
        RepositoryError: the cache is enabled.
    """
    if config.get("response_cache", {}).get("enable"):
        raise RepositoryError(
            "response_cache is enabled in config.pbtxt, but Triton's cache gives wrong answers for "
            "Naiad's models (it caches errors as empty answers); remove response_cache"
        )


def read_parameters(config: Any) -> dict[str, str]:
    """Return the parameters of a ``ModelConfig``."""
    return {key: value.string_value for key, value in config.parameters.items()}


def parameters_of(folder: Path) -> dict[str, str]:
    """Return the parameters of a model's folder; empty without a readable config."""
    path = folder / "config.pbtxt"
    if not path.is_file():
        return {}
    try:
        return read_parameters(read_config(path))
    except RepositoryError:
        return {}


def _protobuf() -> Any:
    # Generated code that type checkers cannot see into.
    return import_module("tritonclient.grpc.model_config_pb2")


def _dims(kind: type[Pipeline], tensor: Tensor) -> tuple[int, ...]:
    """Return the dims to declare, without Triton's batch dimension if there is one."""
    batched = kind.max_batch_size and tensor.declared is None
    return tensor.config_dims[1:] if batched else tensor.config_dims


def _data_type(tensor: Tensor) -> int:
    suffix = "STRING" if tensor.triton == "BYTES" else tensor.triton
    return int(_protobuf().DataType.Value(f"TYPE_{suffix}"))
