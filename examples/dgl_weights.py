"""Serve a GraphSAGE network that was trained with DGL; DGL itself is not needed.

    python examples/dgl_weights.py

Needs the extra `pyg`. The parameters are random, under the names and in the shapes that DGL's
`SAGEConv` gives them.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import SAGEConv

import naiad


class Sage(nn.Module):
    """The network in DGL, with PyTorch Geometric's layers: `layers.0` and `layers.1`."""

    def __init__(self, hidden: int = 32, classes: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList([SAGEConv(16, hidden), SAGEConv(hidden, classes)])

    def forward(self, x, edge_index):
        """Scores of each node."""
        return self.layers[1](self.layers[0](x, edge_index).relu(), edge_index)


def from_dgl(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the parameters of DGL's `SAGEConv(..., aggregator_type="mean")`.

    Its bias is `bias` or `fc_self.bias`, or the sum of `fc_self.bias` and `fc_neigh.bias`: the
    versions of DGL differ.
    """
    found: dict[str, torch.Tensor] = {}
    left = dict(state)
    for layer in [
        n.removesuffix("fc_neigh.weight") for n in state if n.endswith("fc_neigh.weight")
    ]:
        if f"{layer}fc_self.weight" not in state or f"{layer}fc_pool.weight" in state:
            raise ValueError(f"{layer}: aggregator gcn or pool, which this SAGEConv does not have")
        found[f"{layer}lin_l.weight"] = left.pop(f"{layer}fc_neigh.weight")
        found[f"{layer}lin_r.weight"] = left.pop(f"{layer}fc_self.weight")
        biases = [left.pop(f"{layer}{key}bias", None) for key in ("", "fc_self.", "fc_neigh.")]
        if there := [bias for bias in biases if bias is not None]:
            found[f"{layer}lin_l.bias"] = torch.stack(there).sum(0)
    if left:
        raise ValueError(f"not of a SAGEConv with the aggregator mean: {', '.join(left)}")
    return found


def trained(hidden: int = 32, classes: int = 4) -> dict[str, torch.Tensor]:
    """Random parameters, as `torch.save(model.state_dict(), ...)` of a DGL network has them."""
    state: dict[str, torch.Tensor] = {}
    for number, (inputs, outputs) in enumerate([(16, hidden), (hidden, classes)]):
        state[f"layers.{number}.bias"] = torch.randn(outputs)
        state[f"layers.{number}.fc_self.weight"] = torch.randn(outputs, inputs) / 4
        state[f"layers.{number}.fc_neigh.weight"] = torch.randn(outputs, inputs) / 4
    return state


def graph(nodes: int) -> Data:
    """A random graph."""
    return Data(x=torch.randn(nodes, 16), edge_index=torch.randint(nodes, (2, 3 * nodes)))


Served = naiad.pyg(Sage, example=graph(10))


def main() -> None:
    """Convert the parameters, serve the network with them, and ask about a graph."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "sage.pt")
        torch.save(from_dgl(trained()), weights)
        with naiad.serve(Served, weights=weights) as server, server.client() as client:
            print(client.infer("sage", graph(5))["output"].shape)


if __name__ == "__main__":
    main()
