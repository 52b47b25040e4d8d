"""Requests as the JSON that NVIDIA's perf_analyzer takes with ``--input-data``."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from naiad.client.wire import pack
from naiad.core.schema import Array, Arrays
from naiad.files import whole_file


def write_requests(path: Path, requests: Iterable[Arrays], *, batched: bool = False) -> int:
    """Write requests to a file, one after another; return their number.

    Numbers and booleans are lists. Bytes and half floats, which have no such form, are base64 of
    the tensor as the KServe v2 protocol sends it.

    Args:
        path: of the file, which is written as a whole or not at all.
        requests: arrays by input name.
        batched: the first dimension of all arrays is Triton's batch dimension. Each row is then a
            request, since perf_analyzer makes the batches (``-b``).

    Raises:
        NaiadError: the file cannot be written.
    """
    count = 0
    with whole_file(path) as draft, draft.open("w", encoding="utf-8") as file:
        file.write('{"data": [')
        for arrays in requests:
            for one in _rows(arrays) if batched else [arrays]:
                tensors = {name: _tensor(array) for name, array in one.items()}
                file.write((",\n" if count else "\n") + json.dumps(tensors))
                count += 1
        file.write("\n]}\n")
    return count


def _rows(arrays: Arrays) -> Iterator[Arrays]:
    for number in range(len(next(iter(arrays.values())))):
        yield {name: array[number, ...] for name, array in arrays.items()}


def _tensor(array: Array) -> Mapping[str, Any]:
    shape = list(array.shape)
    if array.size and (array.dtype == object or array.dtype == np.float16):
        return {"b64": base64.b64encode(pack(array)).decode(), "shape": shape}
    return {"content": array.ravel().tolist(), "shape": shape}
