"""Chest phantoms: random ellipsoids in Hounsfield units, with and without opacities.

They resemble a chest only roughly. A network trained on them knows nothing of patients.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical import nifti
from naiad.core.schema import Array

Point: TypeAlias = "NDArray[np.float32] | tuple[float, float, float]"

SIZE: Final = (96, 96, 40)
"""Default voxels of a phantom."""
FIELD: Final = (360.0, 360.0, 300.0)
"""Extent of a phantom in millimetres."""

_AIR, _LUNG, _FAT, _TISSUE, _BONE = -1000, -860, -100, 45, 600  # HU
_NOISE = 25  # HU


def draw(
    rng: np.random.Generator, *, opacities: bool, size: tuple[int, int, int] = SIZE
) -> NDArray[np.int16]:
    """Draw a chest in Hounsfield units, ``[x, y, z]``, towards left, posterior and superior.

    ``rng`` places body, lungs, heart, spine, vessels and table, and ground-glass opacities and
    consolidations, if any.
    """
    x, y, z = (
        axis.astype(np.float32)
        for axis in np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij", sparse=True)
    )

    def ellipsoid(centre: Point, radii: Point) -> NDArray[np.float32]:
        """Return the squared distance from the centre, 1 on the surface."""
        (a, b, c), (p, q, r) = centre, radii
        distance = ((x - a) / p) ** 2 + ((y - b) / q) ** 2 + ((z - c) / r) ** 2
        return np.asarray(distance, np.float32)

    def jitter(value: float, by: float = 0.08) -> float:
        return float(value * rng.uniform(1 - by, 1 + by))

    volume = np.full(size, _AIR, np.float32)
    shift = rng.uniform(-0.06, 0.06, 2)
    wide, deep = jitter(0.86), jitter(0.6)
    body = ((x - shift[0]) / wide) ** 2 + ((y - shift[1]) / deep) ** 2 + 0 * z
    volume[body < 1] = _FAT
    volume[body < jitter(0.86, 0.04)] = _TISSUE
    table = np.maximum(np.abs(y - shift[1] - deep - 0.08) / 0.02, np.abs(x) / 0.75) + 0 * z
    volume[table < 1] = jitter(-400)
    lungs = np.zeros(size, bool)
    for side in (-1, 1):
        centre = (
            shift[0] + side * jitter(0.44) * wide,
            shift[1] + jitter(0.02, 1),
            jitter(0.1, 0.5),
        )
        lung = ellipsoid(centre, (jitter(0.33) * wide, jitter(0.72) * deep, jitter(0.82)))
        lungs |= lung < 1
    heart = ellipsoid((shift[0] + 0.12, shift[1] - 0.12, -0.25), (0.26, 0.26, 0.42))
    lungs &= heart > 1
    volume[lungs] = jitter(_LUNG, 0.04)
    volume[(x - shift[0]) ** 2 + (y - shift[1] - 0.75 * deep) ** 2 + 0 * z < 0.012] = _BONE
    places = np.argwhere(lungs)

    def somewhere() -> NDArray[np.float32]:
        place = places[rng.integers(len(places))]
        return (2 * place / (np.array(size) - 1) - 1).astype(np.float32)

    for _ in range(int(rng.integers(10, 26))):  # vessels: thin, long, dense
        radii = rng.permutation([jitter(0.025, 0.3), jitter(0.025, 0.3), jitter(0.25, 0.5)])
        volume[lungs & (ellipsoid(somewhere(), radii) < 1)] = jitter(0, 1)
    if opacities:
        for _ in range(int(rng.integers(3, 9))):
            radii = rng.uniform(0.1, 0.28, 3).astype(np.float32)
            blob = ellipsoid(somewhere(), radii)
            dense = -150 if rng.random() < 0.25 else rng.uniform(-620, -350)
            share = np.where(lungs, np.exp(-(blob**2)), 0) * rng.uniform(0.8, 1)
            volume += share * np.maximum(dense - volume, 0)
    volume += rng.standard_normal(size, np.float32) * jitter(_NOISE, 0.4) * (volume > _AIR)
    return np.clip(volume, -1024, 3071).astype(np.int16)


def affine(size: tuple[int, int, int] = SIZE) -> NDArray[np.float64]:
    """Return the affine from a phantom's voxels to millimetres: ``[4, 4]``."""
    spacing = np.array(FIELD) / np.array(size)
    return np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])


def encode(voxels: Array) -> bytes:
    """Encode a phantom as a gzipped NIfTI file."""
    x, y, z = voxels.shape
    return nifti.write(voxels, affine((x, y, z)))
