"""From the tables of one event to the graph of NuGraph3 with object condensation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.prepare import hit_rows, plane_edges, refuse_large_charges
from naiad.applications.nugraph.schema import MAX_INTEGRAL, PLANES, POSITION_SCALE
from naiad.core.schema import Array, Arrays
from naiad.errors import InvalidInput


def prepare(
    event: Arrays,
    generation: int,
    *,
    strict: bool = False,
    max_integral: float = MAX_INTEGRAL,
    position_scale: tuple[float, float] = POSITION_SCALE,
) -> dict[str, Array]:
    """Make the graph of one event (:func:`naiad.applications.nugraph.condensation.schema.sample`).

    Args:
        event: the tensors of :data:`naiad.applications.nugraph.condensation.schema.INPUTS`;
            ``hit_id`` unique, values finite.
        generation: of the graph, 1 or 2.
        strict: refuse spacepoints that name an unknown hit. By default such entries are ignored,
            as in the original, and counted.
        max_integral: largest allowed charge of a hit, in ADC counts.
        position_scale: factors of wire and time (ticks) in the first generation.

    An entry of a spacepoint may name a hit of any plane. The original skips events with fewer than
    20 hits on a plane; here the graph of any event is made: hits of a plane with one or two have no
    edge, or one in each direction.

    Raises:
        InvalidInput: a hit's charge is above ``max_integral``; or, with ``strict``, a spacepoint
            names an unknown hit.
    """
    refuse_large_charges(event["hit_table_integral"], max_integral)
    plane = event["hit_table_local_plane"]
    # Rows of the table in the order of the graph.
    order = np.argsort(plane, kind="stable") if generation == 1 else np.arange(len(plane))
    plane = plane[order].astype(np.int64)
    features = _features(event, generation, position_scale)[order]
    edges = [np.empty((2, 0), np.int64)]
    for number in range(len(PLANES)):
        rows = np.flatnonzero(plane == number)
        edges.append(rows[plane_edges(np.ascontiguousarray(features[rows, :2]))])
    nexus, unknown = _nexus_edges(event, order, strict)
    return {
        "x": features,
        "hit_plane": plane,
        "plane_edge": np.concatenate(edges, axis=1),
        "nexus_edge": nexus,
        "sp_event": np.zeros(len(event["spacepoint_table_spacepoint_id"]), np.int64),
        "unknown_hits": np.array([unknown], np.int32),
    }


def _features(event: Arrays, generation: int, scale: tuple[float, float]) -> NDArray[np.float32]:
    """Return the features of the hits in table order; the first two are the position."""
    names = ["local_wire", "local_time", "integral", "rms"]
    # The second generation has the position twice.
    names += ["local_plane"] if generation == 1 else ["tpc", "local_plane", *names[:2]]
    features = np.empty((len(event["hit_table_hit_id"]), len(names)), np.float32)
    for column, name in enumerate(names):
        features[:, column] = event[f"hit_table_{name}"]
    if generation == 1:
        features[:, :2] *= np.asarray(scale, np.float32)
    return features


def _nexus_edges(
    event: Arrays, order: NDArray[np.int64], strict: bool
) -> tuple[NDArray[np.int64], int]:
    """Return the edges from hits to spacepoints, and the number of unknown hits."""
    row_of = hit_rows(event["hit_table_hit_id"][order])
    edges: list[NDArray[np.int64]] = []
    unknown = 0
    for plane in PLANES:
        name = f"spacepoint_table_hit_id_{plane}"
        wanted = event[name]
        row, known = row_of(wanted)
        missing = ~known & (wanted >= 0)
        unknown += int(np.count_nonzero(missing))
        if strict and missing.any():
            at = int(missing.argmax())
            raise InvalidInput(f"{name}[{at}] is {wanted[at]}; no hit has that hit_id")
        spacepoint = np.flatnonzero(known)
        edges.append(np.stack((row[spacepoint], spacepoint)))
    return np.concatenate(edges, axis=1), unknown
