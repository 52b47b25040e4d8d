"""Batches of a few sizes, for CUDA graphs, which repeat operations on the same sizes.

A batch is filled up to the next size of a bucket by one more request of zeros. Requests do not
influence each other, so the others' answers stay the same, whatever the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.cases import Forward

from naiad.core.merging import Batch, collate
from naiad.core.schema import REQUESTS, Arrays, Schema, measure

_WARM = 3  # runs before a capture, as CUDA graphs need


def bucket(size: int) -> int:
    """Return the next of 2, 3, 4, 6, 8, 12, 16, ..., above ``size``."""
    power = 1 << size.bit_length()  # above size, and at most twice as large
    return power * 3 // 4 if power * 3 // 4 > size else power


def filled(schema: Schema, samples: Sequence[Arrays]) -> Batch:
    """Merge samples with one of zeros, so that each dimension has the size of a bucket."""
    sizes = [measure(schema, sample) for sample in samples]
    rest = {
        dim: bucket(total) - total
        for dim in sizes[0]
        if dim != REQUESTS and (total := sum(size[dim] for size in sizes)) >= 0
    }
    inner = {dim for tensor in schema.values() for dim in tensor.names[1:]}
    rest |= {dim: sizes[0][dim] for dim in inner}  # the same in all requests
    zeros = zeros_of(schema, {**rest, REQUESTS: 1})
    return collate(schema, [*samples, zeros], [*sizes, measure(schema, zeros)])


def zeros_of(schema: Schema, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Make a sample of these sizes; its indices are 0."""
    return {
        name: np.zeros(
            [dim if isinstance(dim, int) else sizes[dim] for dim in tensor.dims], tensor.numpy
        )
        for name, tensor in schema.items()
    }


class Replayed:
    """A network on batches of one bucket: captured as a CUDA graph, or called again on a CPU."""

    def __init__(self, forward: Forward, batch: Batch, device: str) -> None:
        """Capture the network on a batch like those to come.

        Raises:
            RuntimeError: the network does what cannot be captured.
        """
        self._batch = batch.torch(device)
        self._forward = forward
        self._graph: Any = None
        if not device.startswith("cuda"):
            return
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM):
                forward(self._batch)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = forward(self._batch)

    def __call__(self, batch: Batch) -> Mapping[str, Any]:
        """Run a batch of NumPy arrays; the outputs are overwritten by the next call."""
        for name, array in batch.items():
            given = torch.from_numpy(array)
            if self._graph is not None:
                given = given.pin_memory()
            self._batch[name].copy_(given, non_blocking=True)
        if self._graph is None:
            return self._forward(self._batch)
        self._graph.replay()
        return self._outputs
