"""Requests to measure a pipeline with: from files, simulated, or random."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np

from naiad.application import application
from naiad.core.budget import add_sizes
from naiad.core.pipeline import Pipeline, Request, random_arrays
from naiad.core.schema import (
    BYTES,
    REQUESTS,
    Arrays,
    fill_defaults,
    measure,
    named_dims,
    validate,
)
from naiad.errors import InvalidInput
from naiad.files import read_npz, suffix_of

_MOST = 256  # requests, at most
_OPEN = 4096  # rows of a dimension without limit and budget
_SPREAD = 64  # ratio of the largest random size to the smallest
_AROUND = 4  # ratio of the largest random size to an example's


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests, and their origin in words."""

    requests: tuple[Request, ...]
    source: str

    def mean_sizes(self) -> dict[str, float]:
        """Return the mean rows per request of each dimension."""
        total = total_sizes(self.requests)
        return {dim: size / len(self.requests) for dim, size in total.items()}


def total_sizes(requests: Iterable[Request]) -> dict[str, int]:
    """Sum the rows of requests by dimension; ``requests`` is one of them."""
    total: dict[str, int] = {}
    for request in requests:
        add_sizes(total, {**request.sizes, REQUESTS: 1})
    return total


def find_workload(pipeline: Pipeline, data: Path | None, seed: int, most: int = _MOST) -> Workload:
    """Return at most ``most`` requests of ``data``, or else simulated ones, or else random ones.

    ``data`` is a file that the application reads, a ``.npz`` file with the arrays of one request by
    input name, or a folder of those. Requests over the pipeline's ``limit`` are omitted, and the
    rest is shuffled.

    Raises:
        InvalidInput: ``data`` cannot be read, or the pipeline accepts none of it; says why.
    """
    found, source = _read(pipeline, data) if data is not None else _make(pipeline, seed, most)
    requests: list[Request] = []
    refused: InvalidInput | None = None
    for arrays in islice(found, most):
        request = _checked(pipeline, arrays)
        if isinstance(request, InvalidInput):
            refused = request
        else:
            requests.append(request)
    if not requests:
        why = f"; the last was refused: {refused}" if refused else ""
        raise InvalidInput(f"{source}: no request that {pipeline.name} accepts{why}")
    order = np.random.default_rng(seed).permutation(len(requests))
    return Workload(tuple(requests[n] for n in order), f"{len(requests)} {source}")


def _checked(pipeline: Pipeline, arrays: Arrays) -> Request | InvalidInput:
    try:
        sizes = validate(pipeline.inputs, arrays)
        pipeline.limit.refuse_oversize(sizes)
    except InvalidInput as error:
        return error
    return Request(fill_defaults(pipeline.inputs, arrays, sizes), sizes)


def _make(pipeline: Pipeline, seed: int, most: int) -> tuple[Iterable[Arrays], str]:
    known = application(pipeline.name)
    simulated = None if known is None else known.simulated_requests(most, seed)
    if simulated is not None:
        return simulated, "simulated requests"
    if any(tensor.dtype == BYTES for tensor in pipeline.inputs.values()):
        return repeat(pipeline.example(), most), "times the example"  # not random bytes
    return _random(pipeline, seed, most), "random requests"


def _random(pipeline: Pipeline, seed: int, most: int) -> Iterator[Arrays]:
    """Yield requests with random sizes, log-uniform.

    A pipeline with an example of its own gets requests of a quarter to four times its sizes, with
    the same proportions. For others, sizes up to the budget are drawn for each dimension.
    """
    rng = np.random.default_rng(seed)
    inner = {dim for tensor in pipeline.inputs.values() for dim in tensor.names[1:]}
    largest = {
        dim: min(
            pipeline.limit.get(dim, pipeline.budget.get(dim, _OPEN)),
            pipeline.budget.get(dim, _OPEN),
            pipeline.max_batch_size or _OPEN,
        )
        for dim in named_dims(pipeline.inputs)
    }
    own = type(pipeline).example is not Pipeline.example
    typical = measure(pipeline.inputs, pipeline.example()) if own else {}
    for number in range(most):
        factor = np.exp(rng.uniform(-np.log(_AROUND), np.log(_AROUND)))
        sizes = {
            dim: min(top, max(1, round(typical[dim] * factor)))
            if typical.get(dim)
            # Requests with different sizes of a dimension that is not merged never share a batch.
            else min(top, 8)
            if dim in inner
            else round(float(np.exp(rng.uniform(np.log(max(1, top / _SPREAD)), np.log(top)))))
            for dim, top in largest.items()
        }
        yield random_arrays(pipeline.inputs, sizes, seed=number)


def _read(pipeline: Pipeline, data: Path) -> tuple[Iterable[Arrays], str]:
    if not data.exists():
        raise InvalidInput(f"{data}: no such file or folder")
    files = sorted(p for p in data.iterdir() if suffix_of(p) == ".npz") if data.is_dir() else [data]
    known = application(pipeline.name)
    plain = bool(files) and suffix_of(files[0]) == ".npz"
    if plain and _is_of(pipeline, files[0]):
        return map(read_npz, files), f"requests of {data}"
    # An application's own files may be .npz too.
    readers = [known.requests_in(path) if known else None for path in (files if plain else [data])]
    found = [reader for reader in readers if reader is not None]
    if plain and not found:
        return map(read_npz, files), f"requests of {data}"
    if not found:
        raise InvalidInput(
            f"{data}: for {pipeline.name}, Naiad can only read .npz files with the arrays of one "
            "request by input name, and folders of those"
        )
    return chain.from_iterable(found), f"requests of {data}"


def _is_of(pipeline: Pipeline, path: Path) -> bool:
    """Return whether a .npz file has a request's arrays by input name."""
    return read_npz(path).keys() <= pipeline.inputs.keys()


def cut(requests: Sequence[Request], count: int) -> tuple[Request, ...]:
    """Return ``count`` of the requests, repeated in turn if there are fewer."""
    return tuple(requests[n % len(requests)] for n in range(count))
