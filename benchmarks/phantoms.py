"""Phantoms as large as scans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naiad.applications.medical.covid_ct import phantoms

COARSE = 4  # factor by which a phantom is drawn smaller, along each side of a slice


def chest(size: tuple[int, int, int], seed: int = 0) -> NDArray[np.int16]:
    """Make a phantom as large as a scan, with opacities for an even ``seed``.

    Drawing one takes minutes, so it is coarse; fine noise makes it compress like a scan.
    """
    rng = np.random.default_rng(seed)
    x, y, z = size
    coarse = (-(-x // COARSE), -(-y // COARSE), z)
    drawn = phantoms.draw(rng, opacities=seed % 2 == 0, size=coarse)
    whole = drawn.repeat(COARSE, 0).repeat(COARSE, 1)[:x, :y]
    noise = rng.integers(-30, 31, size, np.int16)
    return np.where(whole > -1000, whole + noise, whole)
