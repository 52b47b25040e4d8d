"""Geometry of the simulated detector: a box of liquid argon read out by three wire planes.

Size, wire pitch and angles are those of the MicroBooNE detector (JINST 12 P02017, 2017), whose
events trained the public NuGraph3 checkpoint. Electrons drift along x to the planes at x = 0; the
wires of u and v are at +60 and -60 degrees to the vertical wires of the collection plane y.
Positions are ``(x, y, z)`` in cm, with y upwards and z along the beam.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Wires = NDArray[np.float64] | NDArray[np.int64]

LOWER: Final[Floats] = np.array([0.0, -115.5, 0.0])
UPPER: Final[Floats] = np.array([256.35, 117.5, 1036.8])
"""Corners of the active volume, cm."""

WIRE_PITCH: Final = 0.3
"""Distance between neighbouring wires, cm."""
WIRES: Final = (2400, 2400, 3456)
"""Number of wires of the planes u, v, y."""

TICK: Final = 0.055
"""Drift distance in one tick (0.5 us), cm."""
TRIGGER_TICK: Final = 800.0
"""Tick at which charge from x = 0 arrives: the read-out starts before the beam."""
READOUT_TICKS: Final = 6400
"""Length of the read-out window, ticks."""

_SIN60: Final = np.sqrt(0.75)
# Row p: wires of plane p per cm along (y, z); wire 0 touches a corner.
_DIRECTIONS: Final[Floats] = np.array([[-_SIN60, 0.5], [_SIN60, 0.5], [0.0, 1.0]]) / WIRE_PITCH
_OFFSETS: Final[Floats] = -np.array(
    [_DIRECTIONS[0, 0] * UPPER[1], _DIRECTIONS[1, 0] * LOWER[1], 0.0]
)


def wire_coordinates(positions: Floats) -> Floats:
    """Map points ``[..., 3]`` in cm to wire coordinates ``[..., 3]`` on the planes u, v, y.

    Wire ``w`` collects the charge with coordinates in ``[w, w + 1)``.
    """
    return positions[..., 1:] @ _DIRECTIONS.T + _OFFSETS


def drift_ticks(x: Floats) -> Floats:
    """Return the arrival time, in ticks, of charge at distance ``x`` (cm) from the wire planes."""
    return TRIGGER_TICK + x / TICK


def drift_distance(ticks: Floats) -> Floats:
    """Return the distance from the wire planes, in cm: the inverse of :func:`drift_ticks`."""
    return (ticks - TRIGGER_TICK) * TICK


def crossing(plane_a: int, wires_a: Wires, plane_b: int, wires_b: Wires) -> Floats:
    """Return the points ``[n, 2]`` (y, z in cm) where centres of wires of two planes cross."""
    matrix = _DIRECTIONS[[plane_a, plane_b]]
    coordinates = np.stack((wires_a + 0.5, wires_b + 0.5), axis=1) - _OFFSETS[[plane_a, plane_b]]
    return coordinates @ np.linalg.inv(matrix).T


def inside(positions: Floats, margin: float = 0.0) -> NDArray[np.bool_]:
    """Tell which points ``[..., 3]`` lie in the active volume, ``margin`` cm from its walls."""
    return np.all((positions >= LOWER + margin) & (positions <= UPPER - margin), axis=-1)
