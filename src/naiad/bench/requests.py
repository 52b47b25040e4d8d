"""Requests for a model: from a file, its own example, or random values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from naiad.application import application
from naiad.client.dtypes import numpy_dtype
from naiad.client.spec import ModelSpec
from naiad.client.transport import Arrays
from naiad.core.pipeline import load_pipeline
from naiad.errors import InvalidInput

_MOST = 1024  # requests read from a file
_ANY_SIZE = 8  # of a dimension of variable size


@dataclass(frozen=True, slots=True)
class Requests:
    """The arrays of each request, and their origin in words."""

    arrays: tuple[Arrays, ...]
    source: str


def model_name(model: str) -> str:
    """Return the name on the server of a model, an application, or ``my_model.py:MyModel``."""
    known = application(model)
    if known is not None:
        return known.model
    return load_pipeline(model).name if _is_spec(model) else model


def find_requests(model: str, spec: ModelSpec, data: Path | None) -> Requests:
    """Return requests for ``model``, a name or a pipeline's spec, served as ``spec``.

    Raises:
        InvalidInput: the file cannot be read or is empty, or no application reads files for this
            model.
    """
    known = application(spec.name)
    if data is not None:
        requests = None if known is None else known.requests_in(data)
        if requests is None:
            raise InvalidInput(f"--data: Naiad cannot read files of requests for model {spec.name}")
        found = tuple(islice(requests, _MOST))
        if not found:
            raise InvalidInput(f"{data} has no requests")
        return Requests(found, f"the first {len(found):,} of {data}, in turn")
    if known is not None or _is_spec(model):
        example = load_pipeline(known.pipeline if known is not None else model)().example()
        return Requests((dict(example),), "the model's example")
    return Requests(
        (generate(spec),), f"random values; dimensions of variable size have {_ANY_SIZE} elements"
    )


def generate(spec: ModelSpec, seed: int = 0) -> Arrays:
    """Make a request for any model, by its dims.

    Integers are 0, which is a valid index into anything that is not empty.
    """
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    for name, tensor in spec.inputs.items():
        if tensor.optional:
            continue
        shape = tuple(_ANY_SIZE if dim == -1 else dim for dim in tensor.dims)
        shape = (1, *shape) if spec.max_batch_size else shape
        dtype = numpy_dtype(tensor.datatype)
        if tensor.datatype == "BYTES":
            arrays[name] = np.full(shape, b"example", dtype=object)
        elif dtype.kind == "f":
            arrays[name] = rng.random(shape).astype(dtype)
        else:
            arrays[name] = np.zeros(shape, dtype)
    return arrays


def _is_spec(model: str) -> bool:
    return ":" in model or model.endswith(".py")
