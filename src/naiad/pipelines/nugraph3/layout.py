"""How a batch of events is laid out in memory for inference.

All hits are one table in which the planes follow each other, cut into tiles of consecutive rows;
edges are sorted by the node they end in, so that what a node receives lies side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges that end in a tile, sorted by target."""

    span: slice  # of all edges of their kind
    source: Tensor
    pointer: Tensor  # edges pointer[i] to pointer[i + 1] end in node i of the tile
    count: Tensor  # 0, 1, ... up to and with the number of edges


@dataclass(frozen=True, slots=True)
class Tile:
    """A range of hits: how many are of which plane, one after the other, and their edges."""

    rows: slice
    planes: tuple[int, ...]
    sizes: tuple[int, ...]
    plane_edges: Edges
    nexus_edges: Edges


@dataclass(frozen=True, slots=True)
class Graph:
    """A batch of events over one table of hits.

    Hits have two gates at a time, of which each edge reads one of its own plane: those indices
    are positions in a flat ``[hits + 1, planes, 2]``, whose last row stands for no hit.
    """

    sizes: tuple[int, ...]  # hits of each plane
    tiles: tuple[Tile, ...]
    target_gate: Tensor  # of plane edges
    source_gate: Tensor
    hit_of: Tensor  # of each place in [spacepoints, planes], one past the last where there is none
    hit_of_gate: Tensor
    hit_gate: Tensor  # of nexus edges
    slot: Tensor  # of nexus edges: their place in [spacepoints, planes]
    event: Tensor  # of each spacepoint
    event_edges: Edges


def lay_out(
    batch: Mapping[str, Tensor], names: Sequence[str], events: int, tile: int | None = None
) -> Graph:
    """Lay out a merged batch of ``events`` for the planes of these names.

    Args:
        batch: as :class:`naiad.pipelines.nugraph3.model.NuGraph3Net` takes it; plane edges sorted
            by target, ``sp_event`` sorted.
        names: the planes, in order.
        events: how many events were merged.
        tile: rows per tile; by default all hits are one tile.
    """
    event, planes = batch["sp_event"], len(names)
    sizes: list[int] = []
    plane_edges: list[Tensor] = []
    plane_gates: list[Tensor] = []
    hit: list[Tensor] = []
    slot: list[Tensor] = []
    total = 0
    for plane, name in enumerate(names):
        edges = batch[f"plane_edge_{name}"] + total
        plane_edges.append(edges)
        plane_gates.append(edges * (2 * planes) + 2 * plane)
        nexus_edge = batch[f"nexus_edge_{name}"]
        hit.append(nexus_edge[0] + total)
        slot.append(nexus_edge[1] * planes + plane)
        sizes.append(len(batch[f"x_{name}"]))
        total += sizes[-1]
    tile = tile or max(total, 1)
    source, target = torch.cat(plane_edges, dim=1)
    source_gate, target_gate = torch.cat(plane_gates, dim=1)
    hits, order = torch.sort(torch.cat(hit), stable=True)
    slots = torch.cat(slot).index_select(0, order)
    plane_of_slot = slots % planes
    hit_of = event.new_full((len(event) * planes,), total)
    hit_of[slots] = hits
    count = torch.arange(max(len(source), len(hit_of), total, events) + 2, device=event.device)
    nodes = count[: total + 1]
    spacepoints = torch.div(slots, planes, rounding_mode="floor")
    rows = [slice(start, min(start + tile, total)) for start in range(0, total, tile)]
    plane_tiles = _edges(source, torch.searchsorted(target, nodes), rows, count)
    nexus_tiles = _edges(spacepoints, torch.searchsorted(hits, nodes), rows, count)
    return Graph(
        tuple(sizes),
        tuple(
            Tile(own, *_planes_of(own, sizes), plane, nexus)
            for own, plane, nexus in zip(rows, plane_tiles, nexus_tiles, strict=True)
        ),
        target_gate,
        source_gate + 1,
        hit_of,
        hit_of * (2 * planes) + 2 * (count[: len(hit_of)] % planes),
        hits * (2 * planes) + 2 * plane_of_slot + 1,
        slots,
        event,
        Edges(
            slice(0, len(event)),
            count[: len(event)],
            torch.searchsorted(event, count[: events + 1]),
            count[: len(event) + 1],
        ),
    )


def _planes_of(rows: slice, sizes: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The planes that some of the rows are of, and how many are of each."""
    stops = list(accumulate(sizes))
    overlap = [
        min(stop, rows.stop) - max(stop - size, rows.start)
        for stop, size in zip(stops, sizes, strict=True)
    ]
    planes = tuple(plane for plane, count in enumerate(overlap) if count > 0)
    return planes, tuple(overlap[plane] for plane in planes)


def _edges(
    source: Tensor, pointer: Tensor, tiles: Sequence[slice], count: Tensor
) -> Iterator[Edges]:
    """Edges from ``source`` that end in each tile; those of node i start at ``pointer[i]``."""
    cuts = pointer[[*(rows.start for rows in tiles), len(pointer) - 1]].tolist()
    for rows, first, last in zip(tiles, cuts[:-1], cuts[1:], strict=True):
        yield Edges(
            slice(first, last),
            source[first:last],
            pointer[rows.start : rows.stop + 1] - first,
            count[: last - first + 1],
        )
