"""Exported models batched by Triton's rules: by rows, or one request at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from naiad.core.budget import Budget
from naiad.core.schema import REQUESTS, TRITON_NAMES, Schema, Tensor
from naiad.errors import RepositoryError
from naiad.triton.model_config import ModelConfig, TensorConfig

BATCH: Final = "batch"
"""Leading dimension of requests to a model with ``max_batch_size``."""

_DTYPES: Final[Mapping[str, str]] = {triton: name for name, triton in TRITON_NAMES.items()}


@dataclass(frozen=True, slots=True)
class Layout:
    """The tensors of an exported model, and how its requests are merged.

    Attributes:
        inputs: as clients send them.
        outputs: as clients receive them.
        sample: the merged inputs.
        result: the outputs before they are split.
        budget: maximum size of a batch.
        limit: maximum size of a request.
    """

    inputs: Schema
    outputs: Schema
    sample: Schema
    result: Schema
    budget: Budget
    limit: Budget = field(default_factory=Budget)


def by_rows(config: ModelConfig) -> Layout:
    """Return the layout of a model that follows Triton's rules.

    With ``max_batch_size`` requests with equal inner sizes are concatenated along their first
    dimension, up to that many rows. Without it each is run by itself.

    Raises:
        RepositoryError: a tensor has a dtype that cannot be served.
    """
    if config.max_batch_size > 0:
        inputs = {t.name: _tensor(config, t, BATCH) for t in config.inputs}
        outputs = {t.name: _tensor(config, t, BATCH) for t in config.outputs}
        budget = Budget(**{BATCH: config.max_batch_size})
        return Layout(inputs, outputs, inputs, outputs, budget)
    inputs = {t.name: _tensor(config, t) for t in config.inputs}
    return Layout(
        inputs,
        outputs={t.name: _tensor(config, t) for t in config.outputs},
        sample=inputs,
        result={t.name: _tensor(config, t, REQUESTS) for t in config.outputs},
        budget=Budget(requests=1),
    )


def _tensor(config: ModelConfig, tensor: TensorConfig, *leading: str) -> Tensor:
    if tensor.dtype not in _DTYPES:
        raise _unknown(config, tensor)
    # Each variable size gets its own name, so that it need not equal any other.
    dims = (
        f"{tensor.name}.{axis}" if size == -1 else size for axis, size in enumerate(tensor.dims)
    )
    # NaN is left to the model, as in NVIDIA's backends.
    return Tensor(_DTYPES[tensor.dtype], (*leading, *dims), finite=False)


def _unknown(config: ModelConfig, tensor: TensorConfig) -> RepositoryError:
    return config.wrong(
        f"{tensor.field}.data_type is TYPE_{tensor.dtype or 'INVALID'}; it must be one of "
        f"{', '.join(f'TYPE_{name}' for name in _DTYPES)}"
    )
