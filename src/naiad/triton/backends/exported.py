"""Pipelines made from a model file and its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Final, Literal

from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, random_arrays
from naiad.core.schema import Arrays, named_dims
from naiad.core.settings import ServiceSettings
from naiad.triton.backends.graphs import DIMS_PARAMETER, by_dims
from naiad.triton.backends.models import TorchModel, load_model
from naiad.triton.backends.rows import BATCH, by_rows
from naiad.triton.model_config import ModelConfig

MODEL_DEVICE: Final = "model"
"""Device of an instance whose model file places its own parts."""

# Their files and backends have their own settings for threads.
_SETTINGS: Final = (
    *(one.name for one in fields(ServiceSettings) if one.name != "threads"),
    "cost",
)
"""Service settings that a config may have, with the prefix ``naiad_``."""


def exported_pipeline(config: ModelConfig, version: str) -> type[Pipeline]:
    """Return the pipeline class of a model's version.

    Args:
        config: its complete configuration.
        version: the name of the version's folder.

    Raises:
        RepositoryError: the config is incomplete or invalid; names the file and the field.
    """
    named = DIMS_PARAMETER in config.parameters
    layout = by_dims(config) if named else by_rows(config)

    class Exported(Pipeline):
        """A model file and its config."""

        name = config.name
        inputs = layout.inputs
        outputs = layout.outputs
        sample = layout.sample
        result = layout.result
        budget = layout.budget
        limit = layout.limit
        arrays: ClassVar[Literal["torch", "numpy"]] = (
            "torch" if named and config.backend == "pytorch" else "numpy"
        )

        def setup(self, device: str) -> None:
            self._model = load_model(config, version, None if device == MODEL_DEVICE else device)

        def forward(self, batch: Batch) -> Mapping[str, Any]:
            if self.arrays == "torch" and isinstance(self._model, TorchModel):
                return self._model.forward(batch)
            return self._model(batch)

        def example(self) -> Arrays:
            if named:
                return super().example()
            # For undeclared sizes, most models accept 1.
            sizes = dict.fromkeys(named_dims(self.inputs), 1)
            sizes[BATCH] = min(8, config.max_batch_size)
            return random_arrays(self.inputs, sizes, seed=0)

    if named or config.max_batch_size:
        return Exported

    class Single(Exported):
        """The same without a dimension to merge along: a batch is one request."""

        name = config.name
        prepare_threads = 0  # nothing to prepare

        def forward(self, batch: Batch) -> Mapping[str, Any]:
            # A batch is one request; stacked tensors have an extra axis.
            stacked = {key for key, tensor in self.inputs.items() if tensor.axis is None}
            given = {key: array[0] if key in stacked else array for key, array in batch.items()}
            outputs = self._model(given)
            return {key: array[None] for key, array in outputs.items()}

        def finish(self, result: Arrays) -> Arrays:
            return {key: array[0] for key, array in result.items()}

    return Single


def service_parameters(config: ModelConfig, device: str) -> dict[str, str]:
    """Return a config's service settings, named as in a pipeline's config."""
    found = {key: config.parameters.get(f"naiad_{key}") for key in _SETTINGS}
    parameters = {key: value for key, value in found.items() if value is not None}
    # One number, so that the same batch gives the same bits.
    threads = config.parameters.get("INTRA_OP_THREAD_COUNT", "1")
    return {"threads": threads} | parameters | {"device": device}
