"""Energies and forces of molecules: forces are the energy's gradient, computed on the server.

    python examples/force_field.py

Needs the extra `pyg`, and SciPy. The parameters are random: only the shapes mean something.
"""

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import global_add_pool
from torch_geometric.nn.models.schnet import GaussianSmearing, InteractionBlock

import naiad
from naiad import Tensor

CUTOFF = 5.0
"""Largest distance of atoms that act on each other, in Å."""


class ForceField(nn.Module):
    """SchNet (Schütt et al., arXiv:1706.08566), with layers of PyTorch Geometric."""

    def __init__(self, hidden: int = 32, layers: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, hidden)
        self.distances = GaussianSmearing(0.0, CUTOFF, 25)
        self.layers = nn.ModuleList(
            InteractionBlock(hidden, 25, hidden, CUTOFF) for _ in range(layers)
        )
        self.head = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 1))

    def forward(self, z, pos, edge_index, batch, batch_size):
        """Energy of each molecule in eV, and the force on each atom in eV/Å."""
        pos = pos.requires_grad_()
        source, target = edge_index
        distance = (pos[source] - pos[target]).norm(dim=-1)
        x, near = self.embedding(z), self.distances(distance)
        for layer in self.layers:
            x = x + layer(x, edge_index, distance, near)
        energy = global_add_pool(self.head(x), batch, size=batch_size).squeeze(-1)
        # A molecule's energy depends on no other's atoms: the gradient of the sum has them all.
        (gradient,) = torch.autograd.grad(energy.sum(), pos)
        return {"energy": energy, "forces": -gradient}


def pairs(pos):
    """Both directions of each pair of atoms within the cutoff, int64 ``[2, pairs]``."""
    found = KDTree(pos).query_pairs(CUTOFF, output_type="ndarray").astype(np.int64)
    return np.concatenate([found, found[:, ::-1]]).T


def molecule(atoms: int) -> Data:
    """Carbon, hydrogen and oxygen on a grid of 1.2 Å, moved at random."""
    grid = torch.cartesian_prod(*[torch.arange(5.0)] * 3)[:atoms]
    return Data(
        z=torch.tensor([6, 1, 8])[torch.randint(3, (len(grid),))],
        pos=1.2 * grid + 0.1 * torch.randn(len(grid), 3),
    )


EXAMPLE = molecule(10)
EXAMPLE.edge_index = torch.from_numpy(pairs(EXAMPLE.pos.numpy()))
Z = Tensor("int64", ("nodes",), minimum=1, maximum=99, doc="atomic numbers")
Base = naiad.pyg(ForceField, example=EXAMPLE, inputs={"z": Z})


class Forces(Base):
    """Clients send atoms; ``prepare`` finds the pairs, beside the network's work."""

    inputs = {"z": Z, "pos": Tensor("float32", ("nodes", 3), unit="Å")}
    sample = Base.inputs

    def prepare(self, request):
        """Add the pairs."""
        return {**request.arrays, "edge_index": pairs(request["pos"])}


def main() -> None:
    """Ask about one molecule."""
    with naiad.serve(Forces) as server, server.client() as client:
        answer = client.infer("forces", molecule(20))
        print(answer["energy"], answer["forces"].shape)


if __name__ == "__main__":
    main()
