"""Graph models in a repository that are merged block-diagonally, with no code.

A config says in ``parameters`` what the dimensions of its tensors are::

    parameters { key: "naiad_dims" value { string_value:
      "x__0: nodes, 1433; edgeindex__1: 2, edges -> nodes; logits__0: nodes, 7" } }
    parameters { key: "naiad_budget" value { string_value: "nodes=512, edges=8192" } }

From that a :class:`naiad.Pipeline` is made around the model file, and served as any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from naiad.batching import Budget
from naiad.errors import RepositoryError, SchemaError
from naiad.graph import Batch
from naiad.pipeline import Pipeline
from naiad.schema import BYTES, REQUESTS, TRITON_NAMES, Tensor, check_schema
from naiad.triton.backends.models import OnnxModel, TorchModel, load_model
from naiad.triton.model_config import ModelConfig, TensorConfig, read_model_config

DIMS_PARAMETER: Final = "naiad_dims"
"""Names the dimensions of every tensor; a model that has it is batched by Naiad."""
BUDGET_PARAMETER: Final = "naiad_budget"
"""How much one batch may hold, as ``nodes=512, edges=8192``."""
LIMIT_PARAMETER: Final = "naiad_limit"
"""How much one request may hold; more is refused."""

_DEFAULT_NODES: Final = 1024
_DEFAULT_EDGES: Final = 8192
"""Of every dimension in one batch: those that indices point into, and all others. It is what pays
on a CPU; larger graphs run by themselves, where merging gains nothing (benchmarks/graph_batching.py
measures it)."""

_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_SIZE: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(\d+)\s*")
# Parameters of this backend that the adapter knows without their prefix.
_PASSED: Final = (
    *("instances", "executor", "watchdog", "queue_capacity", "latency_target", "max_queue_delay"),
    "cost",
)


def graph_spec(version: Path) -> str:
    """How a worker finds the pipeline of a model's version, for :func:`naiad.load_pipeline`."""
    return f"{__name__}:graph_pipeline({version})"


def graph_pipeline(version: str | Path) -> type[Pipeline]:
    """The pipeline class of a model's version: its folder, below that with ``config.pbtxt``.

    Raises:
        RepositoryError: the config does not say what it must; names the file and the field.
    """
    folder = Path(version)
    config = read_model_config(folder.parent)
    if config.max_batch_size:
        raise config.wrong(
            f"max_batch_size is {config.max_batch_size}; with {DIMS_PARAMETER} it must be 0: "
            f"graphs have no batch dimension, and are merged by Naiad"
        )
    dims = _read_dims(config)
    schema_in = {t.name: _tensor(config, t, dims) for t in config.inputs}
    schema_out = {t.name: _tensor(config, t, dims) for t in config.outputs}
    try:
        check_schema(schema_in)
    except SchemaError as error:
        raise _wrong(config, DIMS_PARAMETER, str(error)) from None

    class Exported(Pipeline):
        """A model file and its config."""

        name = config.name
        inputs = schema_in
        outputs = schema_out
        budget = _read_sizes(config, BUDGET_PARAMETER, schema_in) or _default_budget(schema_in)
        limit = _read_sizes(config, LIMIT_PARAMETER, schema_in) or Budget()
        arrays: ClassVar[Literal["torch", "numpy"]] = (
            "numpy" if config.backend == "onnxruntime" else "torch"
        )

        def setup(self, device: str) -> None:
            self._model: TorchModel | OnnxModel = load_model(config, folder.name, device)

        def forward(self, batch: Batch) -> Mapping[str, Any]:
            if isinstance(self._model, OnnxModel):
                return self._model(batch)
            return self._model.forward(batch)

    return Exported


def adapter_parameters(config: ModelConfig, instance_kind: str) -> dict[str, str]:
    """The parameters of a config as :class:`naiad.triton.adapter.PipelineModel` reads them."""
    found = {key: config.parameters.get(f"naiad_{key}") for key in _PASSED}
    parameters = {key: value for key, value in found.items() if value is not None}
    parameters["device"] = "cuda:0" if instance_kind == "GPU" else "cpu"
    if "instances" not in parameters and sum(g.count for g in config.message.instance_group) > 1:
        parameters["instances"] = "1"  # Triton starts this many of us itself
    threads = config.parameters.get("INTRA_OP_THREAD_COUNT")
    return parameters | ({"threads": threads} if threads else {})


def _read_dims(config: ModelConfig) -> dict[str, str]:
    """The text of each tensor's dims, by name."""
    text = config.parameters.get(DIMS_PARAMETER, "")
    found: dict[str, str] = {}
    names = [tensor.name for tensor in (*config.inputs, *config.outputs)]
    for part in filter(str.strip, text.split(";")):
        name, colon, dims = (piece.strip() for piece in part.partition(":"))
        if not colon:
            raise _wrong(config, DIMS_PARAMETER, f"{part.strip()!r} is not NAME: DIM, DIM, ...")
        if name not in names:
            raise _wrong(
                config, DIMS_PARAMETER, f"{name!r} is no tensor; those are {', '.join(names)}"
            )
        found[name] = dims
    missing = [name for name in names if name not in found]
    if missing:
        raise _wrong(
            config, DIMS_PARAMETER, f"{missing[0]!r} is missing; every tensor needs its dims"
        )
    return found


def _tensor(config: ModelConfig, tensor: TensorConfig, dims: Mapping[str, str]) -> Tensor:
    text, arrow, into = (piece.strip() for piece in dims[tensor.name].partition("->"))
    what = f"{tensor.name} has {text!r}"
    sizes: list[int | str] = []
    for piece in filter(None, (part.strip() for part in text.split(","))):
        if not piece.isdecimal() and not _NAME.fullmatch(piece):
            raise _wrong(config, DIMS_PARAMETER, f"{what}; {piece!r} is neither a size nor a name")
        sizes.append(int(piece) if piece.isdecimal() else piece)
    if len(sizes) != len(tensor.dims) or any(
        size != -1 and isinstance(named, int) and named != size
        for named, size in zip(sizes, tensor.dims, strict=True)
    ):
        raise _wrong(
            config, DIMS_PARAMETER, f"{what}, but {tensor.field}.dims is {list(tensor.dims)}"
        )
    dtype = next((name for name, triton in TRITON_NAMES.items() if triton == tensor.dtype), "")
    if dtype in ("", BYTES):
        raise config.wrong(
            f"{tensor.field}.data_type is TYPE_{tensor.dtype or 'INVALID'}, which cannot be merged"
        )
    targets = tuple(target.strip() for target in into.split(",")) if arrow else ()
    try:
        # What a model makes of NaN is its own affair: NVIDIA's backends pass it on.
        return Tensor(
            dtype,
            tuple(sizes),
            index_into=(targets[0] if len(targets) == 1 else targets) or None,
            finite=False,
        )
    except SchemaError as error:
        raise _wrong(config, DIMS_PARAMETER, f"{tensor.name}: {error}") from None


def _default_budget(schema: Mapping[str, Tensor]) -> Budget:
    nodes = {target for tensor in schema.values() for target in tensor.index_targets()}
    merged = {str(t.dims[t.axis]) for t in schema.values() if t.axis is not None}
    return Budget(
        **{
            dim: _DEFAULT_NODES if dim in nodes else _DEFAULT_EDGES
            for dim in sorted(merged - {REQUESTS})
        }
    )


def _read_sizes(config: ModelConfig, key: str, schema: Mapping[str, Tensor]) -> Budget | None:
    text = config.parameters.get(key, "")
    known = {name for tensor in schema.values() for name in tensor.names} | {REQUESTS}
    sizes: dict[str, int] = {}
    for part in filter(str.strip, text.split(",")):
        match = _SIZE.fullmatch(part)
        if not match or match[1] not in known:
            raise _wrong(
                config,
                key,
                f"{part.strip()!r} is not DIMENSION=SIZE; the dimensions are "
                f"{', '.join(sorted(known))}",
            )
        sizes[match[1]] = int(match[2])
    try:
        return Budget(**sizes) if sizes else None
    except SchemaError as error:
        raise _wrong(config, key, str(error)) from None


def _wrong(config: ModelConfig, key: str, what: str) -> RepositoryError:
    return config.wrong(f'parameters["{key}"]: {what}')
