"""The projection from space to the wire planes, fitted to an event's own spacepoints.

A spacepoint has a 3D position and a hit on two or three planes, so each event with positions
carries its detector's geometry: on one plane, the wire number is affine in (y, z) and the time
affine in x. A least-squares fit finds both without a table of pitches, angles and drift speeds, and
works for any detector with one drift volume. On MicroBooNE's open data, where
``particle_table/start_wire_pos`` has the truth, it is right to half a wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.schema import PLANES

# A small or straight event determines the geometry poorly; points with larger errors are not shown.
MAX_WIRE_ERROR = 8.0
MAX_TIME_ERROR = 40.0

# Standard errors: wire numbers are rounded, and peak times are off by about a tick.
_WIRE_ROUNDING = 12**-0.5
_TIME_ERROR = 1.0

# Beyond this residual there are several drift volumes, or the positions are not of these hits.
_MAX_RESIDUAL = 3.0

_Matches: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class LocatedEvent(Protocol):
    """An event whose spacepoints may have positions."""

    @property
    def spacepoints(self) -> Mapping[str, NDArray[Any]]:
        """The columns of the spacepoint table."""
        ...

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return the tensors of the request, as ``schema.INPUTS`` names them."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """An affine function fitted by least squares, with its standard error."""

    centre: NDArray[np.float64]
    offset: float
    slope: NDArray[np.float64]
    axes: NDArray[np.float64]
    spread: NDArray[np.float64]
    points: int
    residual: float

    def __call__(self, point: NDArray[np.float64]) -> tuple[float, float]:
        """Return the value at ``point`` and its standard error."""
        delta = point - self.centre
        pull = (self.axes @ delta) / np.maximum(self.spread, 1e-9)
        error = self.residual * float(np.sqrt(1 / self.points + pull @ pull))
        return self.offset + float(self.slope @ delta), error


@dataclass(frozen=True, slots=True)
class Projection:
    """Per plane, the wire as a function of (y, z) and the time as a function of x, in cm."""

    planes: Mapping[str, tuple[Line, Line]]

    def __call__(self, point: NDArray[Any]) -> dict[str, tuple[float, float]]:
        """Return wire and time (ticks) of a point (x, y, z in cm) by plane.

        Leaves out planes on which the standard error is above 8 wires or 40 ticks.
        """
        x, yz = np.asarray(point[:1], np.float64), np.asarray(point[1:], np.float64)
        seen: dict[str, tuple[float, float]] = {}
        for plane, (wire_of, time_of) in self.planes.items():
            (wire, wire_error), (time, time_error) = wire_of(yz), time_of(x)
            if wire_error <= MAX_WIRE_ERROR and time_error <= MAX_TIME_ERROR:
                seen[plane] = wire, time
        return seen


def fit_projection(events: Iterable[LocatedEvent]) -> Projection | None:
    """Fit the projection to the events of one detector; one event is often enough.

    Args:
        events: with the column ``position`` of their spacepoints (x, y, z in cm), ``[n, 3]``;
            those without are skipped.

    Returns:
        None if there are no positions, too few spacepoints with a hit, or positions that do not
        fit the hits.
    """
    matches: dict[str, list[_Matches]] = {plane: [] for plane in PLANES}
    for event in events:
        positions = event.spacepoints.get("position")
        if positions is not None and len(positions):
            arrays = event.arrays()
            for plane in PLANES:
                matches[plane].append(_match(arrays, np.asarray(positions, np.float64), plane))
    planes: dict[str, tuple[Line, Line]] = {}
    for plane, found in matches.items():
        if not found:
            continue
        at, wires, times = (np.concatenate(parts) for parts in zip(*found, strict=True))
        wire = _fit(at[:, 1:], wires, _WIRE_ROUNDING)
        time = _fit(at[:, :1], times, _TIME_ERROR)
        if wire is not None and time is not None and wire.residual <= _MAX_RESIDUAL:
            planes[plane] = wire, time
    return Projection(planes) if planes else None


def _match(
    arrays: Mapping[str, NDArray[Any]], positions: NDArray[np.float64], plane: str
) -> _Matches:
    """Return the positions of spacepoints with a hit on the plane, and its wire and time."""
    hit_ids = arrays["hit_table_hit_id"]
    if len(hit_ids) == 0:
        return positions[:0], np.zeros(0), np.zeros(0)
    wanted = arrays[f"spacepoint_table_hit_id_{plane}"]
    order = np.argsort(hit_ids, kind="stable")
    place = np.searchsorted(hit_ids, wanted, sorter=order)
    row = order[np.minimum(place, len(order) - 1)]
    known = (hit_ids[row] == wanted) & (wanted >= 0) & np.isfinite(positions).all(axis=1)
    row = row[known]
    return (
        positions[known],
        arrays["hit_table_local_wire"][row].astype(np.float64),
        arrays["hit_table_local_time"][row].astype(np.float64),
    )


def _fit(
    points: NDArray[np.float64], values: NDArray[np.float64], least_error: float
) -> Line | None:
    """Fit by least squares, a second time without outliers (wrongly matched spacepoints)."""
    keep = np.ones(len(values), bool)
    line: Line | None = None
    for _ in range(2):
        if keep.sum() < points.shape[1] + 2:
            return line
        centre, offset = points[keep].mean(axis=0), float(values[keep].mean())
        left, spread, axes = np.linalg.svd(points[keep] - centre, full_matrices=False)
        scale = np.where(spread > 1e-6 * max(spread[0], 1e-9), 1 / np.maximum(spread, 1e-9), 0)
        slope = axes.T @ (scale * (left.T @ (values[keep] - offset)))
        off = np.abs(offset + (points - centre) @ slope - values)
        freedom = keep.sum() - points.shape[1] - 1
        residual = max(least_error, float(np.sqrt((off[keep] ** 2).sum() / freedom)))
        line = Line(centre, offset, slope, axes, spread, int(keep.sum()), residual)
        keep = off <= 4 * max(least_error, float(np.median(off)))
    return line
