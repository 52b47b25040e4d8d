"""The task of argon clusters: XYZ files in, energies out."""

from typing import NamedTuple

import numpy as np
from naiad import InvalidInput
from naiad.tasks.output import save_files
from naiad.tasks.task import Column, Draws, Simulates, Task, Trains

EPSILON, SIGMA, LATTICE = 10.4, 3.40, 5.26  # meV, angstrom, angstrom of solid argon


class Energy(NamedTuple):
    """Energy of a cluster and of each of its atoms, in meV."""

    total: float
    atoms: np.ndarray


class ArgonClustersTask(Task[np.ndarray, Energy], Draws, Simulates[np.ndarray], Trains):
    """Predict the binding energy of clusters of argon atoms in XYZ files."""

    name, pipeline = "argon_clusters", "argon_clusters.pipeline:ArgonClusters"
    summary = "binding energies of clusters of argon atoms, from a fitted pair potential"
    unit, suffixes, example, on_request = "clusters", (".xyz",), "clusters/", True
    columns = (
        Column("file", fill="unit"),
        Column("atoms", "int32", "number of atoms"),
        Column("energy", "float32", "binding energy", "meV"),
    )
    simulated, simulated_output = "clusters", "clusters"

    def read(self, path):
        try:
            return np.loadtxt(path, np.float32, skiprows=2, usecols=(1, 2, 3), ndmin=2)
        except (OSError, ValueError, IndexError) as error:
            raise InvalidInput(f"{path} is not an XYZ file: {error}") from None

    def request(self, unit, options):
        return {"positions": np.asarray(unit, np.float32)}

    def answer(self, unit, outputs, card):
        return Energy(float(outputs["energy"][0]), outputs["atom_energy"])

    def rows(self, result):
        yield len(result.atoms), result.total

    def draw(self, found, path, card, options):
        from matplotlib.figure import Figure

        for one in found:
            axes = Figure(layout="constrained").subplots(subplot_kw={"projection": "3d"})
            axes.figure.colorbar(axes.scatter(*one.unit().T, c=one.result.atoms), label="meV")
            axes.figure.savefig(path)

    def simulate(self, number, seed, options):
        """Make clusters of argon atoms, cut out of a disturbed crystal."""
        rng = np.random.default_rng(seed)
        grid = np.stack(np.meshgrid(*[np.arange(8)] * 3), -1).reshape(-1, 3)
        sites = LATTICE / 2 * grid[grid.sum(1) % 2 == 0]
        for count in range(number):
            distance = np.linalg.norm(sites - LATTICE * rng.uniform(1.5, 2.5, 3), axis=1)
            positions = sites[distance.argsort()[: rng.integers(2, 40)]] * rng.uniform(0.95, 1.2)
            yield f"{count:04}.xyz", positions + rng.uniform(-0.07, 0.07, positions.shape)

    def save(self, units, path, advance):
        def text(positions):
            atoms = "".join(f"Ar {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in positions)
            return f"{len(positions)}\nenergy {energy_of(positions):.3f} meV\n{atoms}".encode()

        save_files(((name, text(positions)) for name, positions in units), path, advance)

    def train(self, output, options, command, advance):
        """Fit the potential to Lennard-Jones energies of simulated clusters."""
        from argon_clusters.pipeline import pairs_of, radial

        clusters = [positions for _, positions in self.simulate(400, 1, None)]
        features = np.stack([radial(pairs_of(one)[1]).sum(0) for one in clusters])
        energies = np.array([energy_of(one) for one in clusters])
        strength = np.linalg.lstsq(features[:300], energies[:300], rcond=1e-6)[0]
        output.mkdir(parents=True, exist_ok=True)
        np.save(output / "potential.npy", strength.astype(np.float32))
        wrong = np.abs(features[300:] @ strength - energies[300:]).mean()
        yield f"mean error {wrong:.2f} meV on 100 other clusters of {energies[300:].mean():.0f} meV"


def energy_of(positions):
    """Return the Lennard-Jones energy of a cluster in meV."""
    first, second = np.triu_indices(len(positions), 1)
    power = (SIGMA / np.linalg.norm(positions[first] - positions[second], axis=1)) ** 6
    return float(4 * EPSILON * (power**2 - power).sum())
