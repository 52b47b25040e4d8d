"""The network served by `naiad.pyg`, and by a pipeline written by hand."""

import torch
from benchmarks.molecules.network import CLASSES, FEATURES, MolNet
from torch_geometric.data import Data

import naiad
from naiad import Budget, Pipeline, Tensor


def molecule(atoms: int, seed: int) -> Data:
    """A chain of atoms with a few rings."""
    rng = torch.Generator().manual_seed(seed)
    chain = torch.stack([torch.arange(atoms - 1), torch.arange(1, atoms)])
    rings = torch.randint(atoms, (2, atoms // 6), generator=rng)
    bonds = torch.cat([chain, rings], 1)
    x = torch.randn(atoms, FEATURES, generator=rng)
    return Data(x=x, edge_index=torch.cat([bonds, bonds.flip(0)], 1))


Derived = naiad.pyg(MolNet, example=molecule(30, 0), name="derived")


class ByHand(Pipeline):
    """The same network, called by hand."""

    inputs = {
        "x": Tensor("float32", ("nodes", FEATURES)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {"output": Tensor("float32", ("requests", CLASSES))}
    budget = Budget(requests=64, nodes=1_920, edges=4_352)

    def setup(self, device):
        self.net = MolNet().to(device).eval()

    def forward(self, batch):
        index = batch.index("nodes")
        return {"output": self.net(batch["x"], batch["edge_index"], index, batch.requests)}
