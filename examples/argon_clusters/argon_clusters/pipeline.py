"""A pair potential on Triton: positions of atoms in, energies out."""

import numpy as np
from naiad import Budget, InvalidInput, Pipeline, Tensor

NEAREST, CUTOFF = 3.3, 9.0  # angstrom
CENTRES = np.linspace(NEAREST, CUTOFF, 40, dtype=np.float32)


def pairs_of(positions):
    """Return the two atoms of each pair within the cutoff, int64 [2, pairs], and its distance."""
    pairs = np.stack(np.triu_indices(len(positions), 1))
    distance = np.linalg.norm(np.subtract(*positions[pairs]), axis=1).astype(np.float32)
    return pairs[:, distance < CUTOFF], distance[distance < CUTOFF]


def radial(distance):
    """Return the features of pairs, [pairs, 40]: Gaussians that fade out towards the cutoff."""
    fade = 0.5 + 0.5 * np.cos(np.pi * distance / CUTOFF)
    return fade[:, None] * np.exp(-(((distance[:, None] - CENTRES) / 0.15) ** 2) / 2)


class ArgonClusters(Pipeline):
    """Binding energy of a cluster, as a sum over its pairs of atoms."""

    inputs = {"positions": Tensor("float32", ("atoms", 3), unit="angstrom")}
    sample = {
        "positions": Tensor("float32", ("atoms", 3)),
        "pairs": Tensor("int64", (2, "pairs"), index_into="atoms"),
        "distance": Tensor("float32", ("pairs",), unit="angstrom"),
    }
    outputs = {
        "energy": Tensor("float32", ("requests",), unit="meV"),
        "atom_energy": Tensor("float32", ("atoms",), unit="meV", doc="share of each atom"),
    }
    budget, limit = Budget(atoms=10_000, pairs=500_000), Budget(atoms=2_000)
    arrays, weights = "numpy", "weights"
    notice = "Fitted to Lennard-Jones energies, not to measurements."

    def example(self):
        return {"positions": 4 * np.eye(3, dtype=np.float32)}

    def setup(self, device):
        self.strength = np.load(self.weights_path / "potential.npy")

    def prepare(self, request):
        pairs, distance = pairs_of(request["positions"])
        if distance.size and distance.min() < NEAREST:
            a, b = pairs[:, distance.argmin()]
            far = f"{distance.min():.2f} angstrom apart; the potential begins at {NEAREST}"
            raise InvalidInput(f"positions[{a}] and positions[{b}] are {far}")
        return {"positions": request["positions"], "pairs": pairs, "distance": distance}

    def forward(self, batch):
        half = np.tile(radial(batch["distance"]) @ self.strength / 2, 2)
        atoms = np.bincount(batch["pairs"].ravel(), half, batch.total("atoms"))
        whole = np.bincount(batch.index("atoms"), atoms, batch.requests)
        return {"energy": whole.astype(np.float32), "atom_energy": atoms.astype(np.float32)}
