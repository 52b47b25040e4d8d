"""From the tables of one event to NuGraph3's input graph, in NumPy and SciPy.

The graph is exactly that of the original (pynuml and PyTorch Geometric's ``Delaunay``) where that
finds one, and a sensible graph where it fails: see :func:`plane_edges`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.schema import MAX_INTEGRAL, PLANES, POSITION_SCALE
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput, MissingExtra

try:
    from scipy.spatial import Delaunay, QhullError
except ImportError as error:
    raise MissingExtra("nugraph3", "scipy") from error

Edges = NDArray[np.int64]
Known = NDArray[np.bool_]


def prepare(
    event: Arrays,
    *,
    strict: bool = False,
    max_integral: float = MAX_INTEGRAL,
    position_scale: tuple[float, float] = POSITION_SCALE,
) -> dict[str, Array]:
    """Make the graph of one event (:data:`naiad.applications.nugraph.schema.SAMPLE`).

    Args:
        event: the tensors of :data:`naiad.applications.nugraph.schema.INPUTS`; ``hit_id`` unique,
            values finite.
        strict: refuse spacepoints that name an unknown hit of a plane. By default such entries are
            ignored, as in the original, and counted.
        max_integral: largest allowed charge of a hit, in ADC counts.
        position_scale: factors of wire and time (ticks).

    Raises:
        InvalidInput: a hit's charge is above ``max_integral``; or, with ``strict``, a spacepoint
            names an unknown hit.
    """
    integral = event["hit_table_integral"]
    refuse_large_charges(integral, max_integral)
    features = np.empty((len(integral), 4), np.float32)
    features[:, 0] = event["hit_table_local_wire"]
    features[:, 1] = event["hit_table_local_time"]
    features[:, :2] *= np.asarray(position_scale, np.float32)
    features[:, 2] = integral
    features[:, 3] = event["hit_table_rms"]

    sample: dict[str, Array] = {}
    row_in_plane = np.empty(len(features), np.int64)
    for index, plane in enumerate(PLANES):
        rows = np.flatnonzero(event["hit_table_local_plane"] == index)
        row_in_plane[rows] = np.arange(len(rows))
        sample[f"x_{plane}"] = hits = features[rows]
        sample[f"plane_edge_{plane}"] = plane_edges(hits[:, :2])
    unknown = _add_nexus_edges(sample, event, row_in_plane, strict)
    sample["sp_event"] = np.zeros(len(event["spacepoint_table_spacepoint_id"]), np.int64)
    sample["unknown_hits"] = np.array([unknown], np.int32)
    return sample


def refuse_large_charges(integral: NDArray[np.float32], largest: float) -> None:
    """Check the charges of an event's hits.

    Raises:
        InvalidInput: one is above ``largest``, in ADC counts.
    """
    if integral.size and integral.max() > largest:
        worst = int((integral > largest).argmax())
        raise InvalidInput(
            f"hit_table_integral[{worst}] is {integral[worst]:g}; "
            f"it must be at most {largest:g} ADC"
        )


def plane_edges(position: NDArray[np.float32]) -> Edges:
    """Return the Delaunay edges between the hits of one plane.

    Args:
        position: float32 ``[hits, 2]``.

    Returns:
        int64 ``[2, edges]``: source and target of each edge, both directions, no duplicates,
        sorted by target and then source.

    Hits that coincide or lie on a line have no Delaunay triangulation. Qhull's joggled input
    ("QJ": points are moved by about 1e-9, with a fixed seed, until one exists) nearly always finds
    one, and that is the original's graph, even if it leaves one of several coinciding hits without
    an edge. Qhull gives up after 51 attempts, which take at most 0.3 ms per hit. Then the distinct
    positions are triangulated, and each hit that coincides with an earlier one is linked to the
    first at its position; if Qhull fails there too, the distinct positions are linked in a chain in
    order of wire and time. Two or three hits are all linked.
    """
    try:
        return _triangulate(position)
    except QhullError:
        pass
    _, first, group = np.unique(position, axis=0, return_index=True, return_inverse=True)
    leader = first[group.ravel()]
    repeated = np.flatnonzero(leader != np.arange(len(position)))
    try:
        source, target = first[_triangulate(position[first])]
    except QhullError:
        source, target = first[:-1], first[1:]
    ends = np.concatenate((source, leader[repeated])), np.concatenate((target, repeated))
    return _symmetric(*ends, len(position))


def _triangulate(position: NDArray[np.float32]) -> Edges:
    n = len(position)
    if n < 4:
        return _symmetric(*np.triu_indices(n, 1), n)
    corners = Delaunay(position, qhull_options="QJ").simplices.T.astype(np.int64)
    return _symmetric(corners, corners[[1, 2, 0]], n)


def _symmetric(a: Edges, b: Edges, n: int) -> Edges:
    """Return the edges between ``a`` and ``b`` in both directions, unique and sorted."""
    a, b = a.ravel(), b.ravel()
    keys = np.concatenate((a * n + b, b * n + a))
    keys.sort()
    first = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    keys = keys[first]
    target = keys // max(n, 1)
    return np.stack((keys - target * n, target))


def hit_rows(hit_id: NDArray[np.int32]) -> Callable[[NDArray[np.int32]], tuple[Edges, Known]]:
    """Return a function that finds hits by their ids.

    It takes ids, int32 ``[n]``, and returns their rows in ``hit_id``, int64 ``[n]``, and which of
    them are known, bool ``[n]``. Negative ids are not.
    """
    order = np.argsort(hit_id, kind="stable")
    sorted_id = hit_id[order]

    def find(wanted: NDArray[np.int32]) -> tuple[Edges, Known]:
        if not order.size:
            return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
        row = order[np.minimum(np.searchsorted(sorted_id, wanted), len(order) - 1)]
        return row, (hit_id[row] == wanted) & (wanted >= 0)

    return find


def _add_nexus_edges(
    sample: dict[str, Array], event: Arrays, row_in_plane: NDArray[np.int64], strict: bool
) -> int:
    """Add the edges from hits to spacepoints; return the number of unknown hits."""
    hit_plane = event["hit_table_local_plane"]
    row_of = hit_rows(event["hit_table_hit_id"])
    unknown = 0
    for index, plane in enumerate(PLANES):
        name = f"spacepoint_table_hit_id_{plane}"
        wanted = event[name]
        row, known = row_of(wanted)
        known[known] = hit_plane[row[known]] == index
        missing = ~known & (wanted >= 0)
        unknown += int(np.count_nonzero(missing))
        if strict and missing.any():
            at = int(missing.argmax())
            raise InvalidInput(
                f"{name}[{at}] is {wanted[at]}; no hit on plane {plane} has that hit_id"
            )
        spacepoint = np.flatnonzero(known)
        sample[f"nexus_edge_{plane}"] = np.stack((row_in_plane[row[spacepoint]], spacepoint))
    return unknown
