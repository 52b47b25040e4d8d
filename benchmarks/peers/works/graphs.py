"""Merging of graphs into one without edges between them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from benchmarks.peers.codec import Arrays

# Of views of received bytes; nothing writes to them.
warnings.filterwarnings("ignore", "The given NumPy array is not writable")


def merged(
    requests: Sequence[Arrays], x: str, edges: str
) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """Return features, edges and the nodes of each graph; ``x`` and ``edges`` are their names."""
    nodes = [len(request[x]) for request in requests]
    if len(requests) == 1:  # as received: nothing is copied
        (request,) = requests
        return torch.from_numpy(request[x]), torch.from_numpy(request[edges]), nodes
    starts = np.cumsum([0, *nodes[:-1]])
    features = np.concatenate([request[x] for request in requests])
    joined = [r[edges] + start for r, start in zip(requests, starts, strict=True)]
    return torch.from_numpy(features), torch.from_numpy(np.concatenate(joined, axis=1)), nodes
