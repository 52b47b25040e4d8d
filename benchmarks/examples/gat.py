"""The graph attention network, whose example serves a TorchScript file of PyTorch Geometric's."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from benchmarks.examples.case import Case, Way, Ways, within
from benchmarks.examples.repository import FREE, example_server
from torch import nn
from torch.nn import functional as F
from torch_geometric.nn import GATConv

import naiad
from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.simulate import simulate
from naiad.applications.gat.weights import load_weights

_GRAPHS = 16


class Network(nn.Module):
    """Two layers of PyTorch Geometric's, with the weights that come with Naiad."""

    def __init__(self) -> None:
        super().__init__()
        folder = Gat().weights_path
        assert folder is not None
        net, card = load_weights(folder)
        a = card.architecture
        self.conv1 = GATConv(a.features, a.hidden, a.heads)
        self.conv2 = GATConv(a.hidden * a.heads, a.classes, a.out_heads, concat=False)
        self.load_state_dict(net.state_dict())

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return self.conv2(F.elu(self.conv1(x, edge_index)), edge_index)


@contextmanager
def start(fewest: int, most: int, scratch: Path, small: bool) -> Iterator[Ways]:
    """Serve graphs of ``fewest`` to ``most`` nodes."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(fewest, most + 1, 4 if small else _GRAPHS)
    graphs = [
        simulate(int(size), seed).arrays(row_normalised=True) for seed, size in enumerate(sizes)
    ]
    file = scratch / "gat.pt"
    first = [torch.from_numpy(array) for array in graphs[0].values()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch advises against TorchScript, which examples use
        torch.jit.trace(Network().eval(), tuple(first)).save(str(file))
    with (
        example_server("gat", "torchscript.py", {"file": str(file)}, small=small) as example,
        naiad.serve("gat", **FREE) as ours,
    ):
        yield Ways(
            Way.plain(*example, graphs),
            Way.plain(ours, Gat.name, graphs),
            f"{len(graphs)} synthetic citation graphs of {fewest} to {most:,} nodes, "
            "the weights that come with Naiad",
        )


def _case(name: str, fewest: int, most: int, target: float | None) -> Case:
    return Case(
        name,
        f"GAT, graphs of {fewest} to {most:,} nodes",
        "a traced network of PyTorch Geometric's, graphs one by one",
        partial(start, fewest, most),
        within(1e-4, ("logits__0", "logits__0")),
        target,
    )


CASES = (_case("gat_small", 10, 60, 3.0), _case("gat_large", 300, 1_500, None))
