"""Energy deposited by particles in liquid argon, in small straight steps.

A coarse model, enough to tell the classes of hits apart (length, density of charge, straightness,
scatter of fragments), and not a replacement for Geant4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.detector import Floats

RADIATION_LENGTH: Final = 14.0
"""Radiation length of liquid argon, cm."""
MOLIERE_RADIUS: Final = 9.0
"""Molière radius of liquid argon, cm."""
ELECTRON_MASS: Final = 0.511
MINIMUM_IONISING: Final = 2.1
"""Mean energy loss of a minimum-ionising particle, MeV/cm."""

# Below the wire pitch, so that a step touches two wires at most.
_STEP: Final = 0.15
# dE/dx = A * (residual range)^b, MeV/cm and cm: ArgoNeuT, JINST 8 P08005 (2013).
_BRAGG_EXPONENT: Final = -0.42


@dataclass(frozen=True, slots=True)
class Species:
    """A charged particle: PDG code, mass in MeV and the scale of its Bragg peak (``A`` above)."""

    pdg: int
    mass: float
    bragg: float

    def range_of(self, kinetic: float) -> float:
        """Return the distance, in cm, in which a particle of ``kinetic`` MeV stops."""
        power = 1.0 + _BRAGG_EXPONENT
        knee = (MINIMUM_IONISING / self.bragg) ** (1.0 / _BRAGG_EXPONENT)
        below = self.bragg / power * knee**power
        if kinetic <= below:
            return float((kinetic * power / self.bragg) ** (1.0 / power))
        return float(knee + (kinetic - below) / MINIMUM_IONISING)

    def kinetic(self, residual: Floats) -> Floats:
        """Return the kinetic energy (MeV) at a ``residual`` range in cm: `range_of` inverted."""
        power = 1.0 + _BRAGG_EXPONENT
        knee = (MINIMUM_IONISING / self.bragg) ** (1.0 / _BRAGG_EXPONENT)
        return self.bragg / power * np.minimum(residual, knee) ** power + (
            MINIMUM_IONISING * np.maximum(residual - knee, 0.0)
        )

    def momentum(self, kinetic: float) -> float:
        """Return the momentum in GeV/c of a particle of ``kinetic`` MeV."""
        return float(np.sqrt(kinetic * (kinetic + 2.0 * self.mass))) / 1000.0


MUON: Final = Species(13, 105.66, 8.0)
PION: Final = Species(211, 139.57, 8.0)
KAON: Final = Species(321, 493.68, 14.0)
PROTON: Final = Species(2212, 938.27, 17.0)
ELECTRON: Final = Species(11, ELECTRON_MASS, MINIMUM_IONISING)


@dataclass(frozen=True, slots=True)
class Steps:
    """Straight steps with the energy deposited in each.

    ``start`` and ``end``: ``[steps, 3]`` in cm; ``energy``: ``[steps]`` in MeV; ``particle``:
    ``[steps]``, the number (``g4_id``) of the particle, -1 without truth.
    """

    start: Floats
    end: Floats
    energy: Floats
    particle: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.energy)

    @property
    def stop(self) -> Floats:
        """The end of the last step."""
        return self.end[-1]

    @classmethod
    def concatenate(cls, parts: list[Steps]) -> Steps:
        """Concatenate the steps of all ``parts``."""
        if not parts:
            return cls(np.empty((0, 3)), np.empty((0, 3)), np.empty(0), np.empty(0, np.int64))
        return cls(
            np.concatenate([part.start for part in parts]),
            np.concatenate([part.end for part in parts]),
            np.concatenate([part.energy for part in parts]),
            np.concatenate([part.particle for part in parts]),
        )


def random_direction(rng: np.random.Generator) -> Floats:
    """Return a unit vector, isotropic."""
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def forward_direction(rng: np.random.Generator, axis: Floats, spread: float) -> Floats:
    """Return a unit vector around ``axis``; ``spread`` is the tangent of the typical angle."""
    vector = axis + spread * rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def transverse_axes(direction: Floats) -> tuple[Floats, Floats]:
    """Return two unit vectors at right angles to ``direction`` and to each other."""
    x, y, z = (float(component) for component in direction)
    if abs(x) < 0.6:
        length = math.hypot(y, z)
        first = (0.0, z / length, -y / length)
    else:
        length = math.hypot(x, y)
        first = (y / length, -x / length, 0.0)
    a, b, c = first
    return np.array(first), np.array((y * c - z * b, z * a - x * c, x * b - y * a))


def track(
    rng: np.random.Generator,
    species: Species,
    start: Floats,
    direction: Floats,
    kinetic: float,
    particle: int,
    *,
    travelled: float = 1.0,
) -> Steps:
    """Track a particle that loses its energy by ionisation and scatters.

    ``kinetic`` is in MeV; ``travelled`` is the share of the range after which an interaction ends
    the track. Multiple scattering by Highland's formula (PDG Review, "Passage of particles through
    matter"), straggling by a gamma distribution.
    """
    full = species.range_of(kinetic)
    count = max(2, int(np.ceil(full * travelled / _STEP)))
    step = full * travelled / count
    residual: Floats = full - step * (np.arange(count, dtype=np.float64) + 0.5)
    energy = species.kinetic(residual + step / 2) - species.kinetic(
        np.maximum(residual - step / 2, 0.0)
    )
    momentum_beta = _momentum_beta(species.kinetic(residual), species.mass)
    theta = np.minimum(13.6 / momentum_beta * np.sqrt(step / RADIATION_LENGTH), 0.5)
    bends = rng.normal(size=(2, count)) * theta
    first, second = transverse_axes(direction)
    angles = np.cumsum(bends, axis=1)
    headings = direction + angles[0][:, None] * first + angles[1][:, None] * second
    headings /= np.linalg.norm(headings, axis=1, keepdims=True)
    points = np.concatenate((start[None], start + np.cumsum(headings * step, axis=0)))
    energy = energy * rng.gamma(12.0, 1.0 / 12.0, size=count)
    return Steps(points[:-1], points[1:], energy, np.full(count, particle, np.int64))


def straight(
    starts: Floats, directions: Floats, energies: Floats, dedx: float, particles: NDArray[np.int64]
) -> Steps:
    """Make many short straight tracks: ``[n, 3]`` cm, unit vectors, MeV, MeV/cm, particles."""
    lengths = energies / dedx
    counts = np.maximum(1, np.ceil(lengths / _STEP)).astype(np.int64)
    owner = np.repeat(np.arange(len(energies)), counts)
    position = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    step = (lengths / counts)[owner, None] * directions[owner]
    begin = starts[owner] + position[:, None] * step
    return Steps(begin, begin + step, (energies / counts)[owner], particles[owner])


def shower(
    rng: np.random.Generator,
    start: Floats,
    direction: Floats,
    energy: float,
    particle: int,
    *,
    photon: bool,
) -> Steps:
    """Make an electromagnetic shower of ``energy`` MeV.

    A photon leaves no trace until it converts to a pair, with twice the charge of an electron. The
    stem is a scattered track; the rest of the energy is spread over short electrons, along the axis
    by the gamma profile of Longo and Sestili (NIM 128, 1975) and across it on the scale of the
    Molière radius.
    """
    if photon:
        start = start + direction * rng.exponential(9.0 / 7.0 * RADIATION_LENGTH)
    share = min(1.0, rng.uniform(20.0, 45.0) / energy)
    first = energy * share / (2.0 if photon else 1.0)
    stem = track(rng, ELECTRON, start, direction, first, particle)
    parts = [stem]
    if photon:
        heading = forward_direction(rng, direction, 0.05)
        parts.append(track(rng, ELECTRON, start, heading, energy * share / 2.0, particle))
    rest = energy * (1.0 - share)
    if rest > 1.0:
        count = max(1, rng.poisson(rest / 9.0))
        pieces = rng.exponential(size=count) + 0.1
        pieces *= rest / pieces.sum()
        depth_peak = max(0.8, np.log(max(energy, 40.0) / 32.0))
        depth = RADIATION_LENGTH * rng.gamma(1.0 + 0.5 * depth_peak, 2.0 / 1.6, size=count)
        width = MOLIERE_RADIUS * 0.22 * rng.exponential(size=count) * np.sqrt(0.2 + depth / 25.0)
        angle = rng.uniform(0.0, 2.0 * np.pi, size=count)
        right, above = transverse_axes(direction)
        outward = np.cos(angle)[:, None] * right + np.sin(angle)[:, None] * above
        starts = start + depth[:, None] * direction + width[:, None] * outward
        headings = direction + 0.4 * rng.normal(size=(count, 3))
        headings /= np.linalg.norm(headings, axis=1, keepdims=True)
        numbers = np.full(count, particle, np.int64)
        parts.append(straight(starts, headings, pieces, MINIMUM_IONISING, numbers))
    return Steps.concatenate(parts)


def blips(
    rng: np.random.Generator, origins: Floats, energies: Floats, particles: NDArray[np.int64]
) -> Steps:
    """Make short electrons in random directions, one of ``energies`` MeV per origin ``[n, 3]``."""
    headings = rng.normal(size=origins.shape)
    headings /= np.linalg.norm(headings, axis=1, keepdims=True)
    return straight(origins, headings, energies, MINIMUM_IONISING, particles)


def _momentum_beta(kinetic: Floats, mass: float) -> Floats:
    total = kinetic + mass
    return np.maximum(kinetic * (kinetic + 2.0 * mass) / total, 1e-3)
