"""Ways to serve a TensorFlow model where TensorFlow is not installed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from naiad.application import applications
from naiad.core.pipeline import load_pipeline
from naiad.core.schema import TRITON_NAMES, Schema
from naiad.errors import RepositoryError, install_command
from naiad.triton.model_config import ModelConfig, TensorConfig


def without_tensorflow(config: ModelConfig, file: Path) -> RepositoryError:
    """Return the error about a model that needs TensorFlow, with all ways to serve it.

    Args:
        config: the model's configuration.
        file: its GraphDef or SavedModel.
    """
    ways = [
        f"Install it: {install_command('tensorflow')}",
        f"or where it is installed, convert the model to ONNX: {_conversion(config, file)} (put "
        f'model.onnx into {file.parent.name}/ and set backend: "onnxruntime" instead of platform)',
        *(
            f"or serve Naiad's own model with the same inputs and outputs: naiad serve {name}"
            for name in built_in(config)
        ),
    ]
    return config.wrong(
        f"{file.parent.name}/{file.name} needs TensorFlow, which is not installed. "
        + "; ".join(ways)
    )


def built_in(config: ModelConfig) -> Iterator[str]:
    """Yield the names of the applications whose tensors have a config's names and dtypes."""
    wanted = _dtypes(config.inputs), _dtypes(config.outputs)
    if not all(wanted):
        return
    for one in applications():
        try:
            pipeline = load_pipeline(one.pipeline)
        except Exception:
            continue
        batched = bool(pipeline.max_batch_size) == bool(config.max_batch_size)
        if batched and (_named(pipeline.inputs), _named(pipeline.outputs)) == wanted:
            yield one.name


def _named(schema: Schema) -> dict[str, str]:
    return {name: TRITON_NAMES[tensor.dtype] for name, tensor in schema.items()}


def _dtypes(tensors: tuple[TensorConfig, ...]) -> Mapping[str, str]:
    return {tensor.name: tensor.dtype for tensor in tensors}


def _conversion(config: ModelConfig, file: Path) -> str:
    """Return the command that converts a model and keeps the names of its tensors."""
    command = ["python", "-m", "tf2onnx.convert"]
    if file.is_dir():
        command += ["--saved-model", str(file)]
        for option, key in (("--tag", "TF_GRAPH_TAG"), ("--signature_def", "TF_SIGNATURE_DEF")):
            if key in config.parameters:
                command += [option, config.parameters[key]]
    else:
        command += ["--graphdef", str(file)]
        for kind, tensors in (("inputs", config.inputs), ("outputs", config.outputs)):
            names = [tensor.name for tensor in tensors]
            command += [f"--{kind}", ",".join(f"{name}:0" for name in names)]
            command += [f"--rename-{kind}", ",".join(names)]
    return shlex.join([*command, "--output", "model.onnx"])
