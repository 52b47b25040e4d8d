"""Graph models in a repository that are merged block-diagonally, without code.

A config names the dimensions of its tensors in ``parameters``::

    parameters { key: "naiad_dims" value { string_value:
      "x__0: nodes, 1433; edgeindex__1: 2, edges -> nodes; logits__0: nodes, 7" } }
    parameters { key: "naiad_budget" value { string_value: "nodes=512, edges=8192" } }

``exported.py`` makes a :class:`naiad.Pipeline` of that and the model file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from naiad.core.budget import Budget
from naiad.core.schema import BYTES, REQUESTS, TRITON_NAMES, Tensor, check_schema
from naiad.errors import RepositoryError, SchemaError
from naiad.triton.backends.rows import Layout
from naiad.triton.model_config import ModelConfig, TensorConfig

DIMS_PARAMETER: Final = "naiad_dims"
"""Names of all tensors' dimensions; Naiad batches a model that has them."""
BUDGET_PARAMETER: Final = "naiad_budget"
"""Maximum size of a batch, such as ``nodes=512, edges=8192``."""
LIMIT_PARAMETER: Final = "naiad_limit"
"""Maximum size of a request; larger ones are refused."""

_DEFAULT_NODES: Final = 1024
_DEFAULT_EDGES: Final = 8192
"""Default budget of dimensions that indices point into, and of all others. These sizes pay on a
CPU; larger graphs run by themselves, since merging them gains nothing
(benchmarks/graph_batching.py measures it)."""

_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_SIZE: Final = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(\d+)\s*")


def by_dims(config: ModelConfig) -> Layout:
    """Return the layout of a model whose config names its dimensions.

    Raises:
        RepositoryError: the config is incomplete or invalid; names the file and the field.
    """
    if config.max_batch_size:
        raise config.wrong(
            f"max_batch_size is {config.max_batch_size}; with {DIMS_PARAMETER} it must be 0: "
            f"graphs have no batch dimension, and Naiad merges them"
        )
    dims = _read_dims(config)
    inputs = {t.name: _tensor(config, t, dims) for t in config.inputs}
    outputs = {t.name: _tensor(config, t, dims) for t in config.outputs}
    try:
        check_schema(inputs)
    except SchemaError as error:
        raise _wrong(config, DIMS_PARAMETER, str(error)) from None
    return Layout(
        inputs,
        outputs,
        sample=inputs,
        result=outputs,
        budget=_read_sizes(config, BUDGET_PARAMETER, inputs) or _default_budget(inputs),
        limit=_read_sizes(config, LIMIT_PARAMETER, inputs) or Budget(),
    )


def _read_dims(config: ModelConfig) -> dict[str, str]:
    """Return the text of each tensor's dims, by name."""
    text = config.parameters.get(DIMS_PARAMETER, "")
    found: dict[str, str] = {}
    names = [tensor.name for tensor in (*config.inputs, *config.outputs)]
    for part in filter(str.strip, text.split(";")):
        name, colon, dims = (piece.strip() for piece in part.partition(":"))
        if not colon:
            raise _wrong(config, DIMS_PARAMETER, f"{part.strip()!r} is not NAME: DIM, DIM, ...")
        if name not in names:
            raise _wrong(
                config, DIMS_PARAMETER, f"{name!r} is not a tensor; those are {', '.join(names)}"
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
        # NaN is left to the model, as in NVIDIA's backends.
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
