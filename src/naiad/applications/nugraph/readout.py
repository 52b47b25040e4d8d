"""From energy in the argon to hits on wires, and from hits to spacepoints.

A step's charge, after recombination and diffusion, is collected by the wires it passes and merged
if it arrives together. A long signal on one wire becomes a train of hits, as with LArTPC hit
finders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph import detector
from naiad.applications.nugraph.detector import Floats
from naiad.applications.nugraph.propagate import Steps

Ints = NDArray[np.int64]
Table = dict[str, NDArray[Any]]

# Charge in ADC counts (integrated over ticks) per MeV that escaped recombination.
_ADC_PER_MEV: Final = 162.0
# Modified box model of recombination: ArgoNeuT, JINST 8 P08005 (2013); field 0.273 kV/cm.
_BOX_ALPHA: Final = 0.93
_BOX_BETA: Final = 0.556
# Width of a hit in ticks: of the electronics, and from longitudinal diffusion over the full drift.
_ELECTRONICS_RMS: Final = 2.9
_DIFFUSION_RMS: Final = 3.2
# Charges on one wire closer than _MERGE_TICKS are one hit; a signal longer than _LONGEST_HIT_TICKS
# is a train of hits.
_MERGE_TICKS: Final = 7.0
_TIME_ERROR_TICKS: Final = 0.8
_LONGEST_HIT_TICKS: Final = 30.0
_TRAIN_TICKS: Final = 16.0
_THRESHOLD_ADC: Final = 9.0
_INEFFICIENCY: Final = 0.03
# Dead wires in an event: mean number of gaps per plane, and their largest width.
_DEAD_GAPS: Final = 5.0
_DEAD_WIRES: Final = 60
# Largest time difference of the hits of a spacepoint on three planes, and on two.
_COINCIDENCE_TICKS: Final = 5.0
_PAIR_TICKS: Final = 2.5


@dataclass(frozen=True, slots=True)
class Readout:
    """Hits, deposited energy and spacepoints, as the columns of pynuml's tables."""

    hits: Table
    spacepoints: Table
    edeps: Table


def recombined(energy: Floats, length: Floats) -> Floats:
    """Return the energy (MeV) whose electrons escape recombination; ``length`` of steps in cm."""
    dedx = np.maximum(energy / np.maximum(length, 1e-6), 0.5)
    survival = np.log(_BOX_ALPHA + _BOX_BETA * dedx) / (_BOX_BETA * dedx)
    return energy * np.clip(survival, 0.0, 1.0)


def read_out(
    rng: np.random.Generator, steps: Steps, *, noise_clusters: float, points_per_hit: int
) -> Readout:
    """Return hits and spacepoints of ``steps``, with ``noise_clusters`` fake signals on average.

    ``points_per_hit``: maximum number of spacepoints of one hit of plane y.
    """
    shares = _shares_of_wires(steps)
    hits, owner = _collect(rng, shares)
    hits = _append(hits, _noise(rng, noise_clusters))
    seen = (
        (hits["integral"] > _THRESHOLD_ADC)
        & (hits["local_time"] > 0.0)
        & (hits["local_time"] < detector.READOUT_TICKS)
        & (rng.random(len(hits["integral"])) > _INEFFICIENCY)
        & ~_on_dead_wires(rng, hits["local_plane"], hits["local_wire"])
    )
    order = np.lexsort((hits["local_time"], -hits["local_wire"], -hits["local_plane"]))
    order = order[seen[order]]
    number = np.full(len(seen), -1, np.int64)
    number[order] = np.arange(len(order))
    columns: Table = {
        "hit_id": np.arange(len(order), dtype=np.int32),
        "local_plane": hits["local_plane"][order].astype(np.int32),
        "local_time": hits["local_time"][order].astype(np.float32),
        "local_wire": hits["local_wire"][order].astype(np.int32),
        "integral": hits["integral"][order].astype(np.float32),
        "rms": hits["rms"][order].astype(np.float32),
    }
    edeps = _energy_per_hit(number[owner], shares["particle"], shares["energy"])
    return Readout(columns, spacepoints(columns, points_per_hit), edeps)


def _shares_of_wires(steps: Steps) -> Table:
    """Return each wire's share of each step, sorted by plane, wire and time."""
    contained = detector.inside(steps.start) & detector.inside(steps.end)
    start, end = steps.start[contained], steps.end[contained]
    energy, particle = steps.energy[contained], steps.particle[contained]
    charge = _ADC_PER_MEV * recombined(energy, np.linalg.norm(end - start, axis=1))
    ticks = detector.drift_ticks(0.5 * (start[:, 0] + end[:, 0]))
    from_wire, to_wire = detector.wire_coordinates(start), detector.wire_coordinates(end)
    first, last = np.floor(from_wire), np.floor(to_wire)
    # A step is shorter than the pitch: it passes at most one border between wires.
    border = np.maximum(first, last)
    span = np.where(first == last, 1.0, to_wire - from_wire)
    share = np.where(first == last, 1.0, (border - from_wire) / span)
    wire = np.stack((first, last)).astype(np.int64)
    weight = np.stack((share, 1.0 - share))
    plane = np.broadcast_to(np.arange(3), wire.shape)
    step = np.broadcast_to(np.arange(len(energy))[:, None], wire.shape)
    kept = (weight > 1e-9) & (wire >= 0) & (wire < np.array(detector.WIRES))
    wire, weight, plane, step = wire[kept], weight[kept], plane[kept], step[kept]
    order = np.lexsort((ticks[step], wire, plane))
    step = step[order]
    return {
        "plane": plane[order],
        "wire": wire[order],
        "ticks": ticks[step],
        "drift": np.maximum(start[step, 0], 0.0),
        "charge": charge[step] * weight[order],
        "energy": energy[step] * weight[order],
        "particle": particle[step],
    }


def _collect(rng: np.random.Generator, shares: Table) -> tuple[dict[str, Floats], Ints]:
    """Merge shares that one wire collects together into hits; also return each share's hit."""
    ticks, charge = shares["ticks"].astype(np.float64), shares["charge"].astype(np.float64)
    wire, plane = shares["wire"], shares["plane"]
    if len(ticks) == 0:
        return _no_hits(), np.empty(0, np.int64)
    new = np.ones(len(ticks), np.bool_)
    new[1:] = (wire[1:] != wire[:-1]) | (plane[1:] != plane[:-1]) | (np.diff(ticks) > _MERGE_TICKS)
    first = np.flatnonzero(new)
    pulse = np.cumsum(new) - 1
    since = ticks - ticks[first][pulse]
    length = np.maximum.reduceat(since, first)
    piece = np.where(length[pulse] > _LONGEST_HIT_TICKS, since // _TRAIN_TICKS, 0.0)
    new[1:] |= np.diff(piece) != 0
    first = np.flatnonzero(new)
    owner = np.cumsum(new) - 1
    total = np.maximum(np.add.reduceat(charge, first), 1e-9)
    mean = np.add.reduceat(charge * ticks, first) / total
    variance = np.add.reduceat(charge * (ticks - mean[owner]) ** 2, first) / total
    drift = shares["drift"][first].astype(np.float64) / detector.UPPER[0]
    rms = np.sqrt(variance + _ELECTRONICS_RMS**2 + _DIFFUSION_RMS**2 * drift)
    count = len(first)
    return {
        "local_plane": plane[first].astype(np.float64),
        "local_wire": wire[first].astype(np.float64),
        "local_time": mean + rng.normal(0.0, _TIME_ERROR_TICKS, count),
        "integral": total * rng.normal(1.0, 0.06, count) + rng.normal(0.0, 4.0, count),
        "rms": rms * rng.normal(1.0, 0.05, count),
    }, owner


def _no_hits() -> dict[str, Floats]:
    names = ("local_plane", "local_wire", "local_time", "integral", "rms")
    return {name: np.empty(0) for name in names}


def _append(hits: dict[str, Floats], more: dict[str, Floats]) -> dict[str, Floats]:
    return {name: np.concatenate((hits[name], more[name])) for name in hits}


def _noise(rng: np.random.Generator, clusters: float) -> dict[str, Floats]:
    """Make fake signals on one to four neighbouring wires of a plane."""
    count = rng.poisson(clusters)
    if count == 0:
        return _no_hits()
    # Induction planes are noisier than the collection plane.
    plane = rng.choice(3, size=count, p=(0.42, 0.38, 0.2))
    width = rng.integers(1, 5, size=count)
    wire = rng.uniform(0.0, np.array(detector.WIRES)[plane] - width)
    time = rng.uniform(0.0, detector.READOUT_TICKS, size=count)
    slope = rng.normal(0.0, 3.0, size=count)
    owner = np.repeat(np.arange(count), width)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(width) - width, width)
    hits = len(owner)
    return {
        "local_plane": plane[owner].astype(np.float64),
        "local_wire": np.floor(wire[owner]) + offset.astype(np.float64),
        "local_time": time[owner] + slope[owner] * offset + rng.normal(0.0, 0.5, hits),
        "integral": 12.0 + rng.gamma(1.8, 32.0, hits),
        "rms": 2.5 + rng.gamma(2.0, 0.7, hits),
    }


def _on_dead_wires(rng: np.random.Generator, plane: Floats, wire: Floats) -> NDArray[np.bool_]:
    count = rng.poisson(3 * _DEAD_GAPS)
    gap_plane = rng.integers(0, 3, size=count)
    first = rng.uniform(0.0, np.array(detector.WIRES)[gap_plane])
    last = first + rng.uniform(1.0, _DEAD_WIRES, size=count)
    # One axis for the wires of all planes, wide enough that gaps of two planes cannot touch.
    offset = 10_000
    low, high = first + gap_plane * offset, last + gap_plane * offset
    place = (wire + plane * offset)[:, None]
    return np.any((place >= low) & (place < high), axis=1)


def _energy_per_hit(hit: Ints, particle: Ints, energy: Floats) -> Table:
    """Return pynuml's edep_table: the energy of each particle in each hit."""
    known = (hit >= 0) & (particle >= 0)
    base = int(particle.max(initial=0)) + 1
    keys, inverse = np.unique(hit[known] * base + particle[known], return_inverse=True)
    rows = np.stack((keys // base, keys % base), axis=1)
    deposited = np.bincount(inverse, energy[known], minlength=len(rows))
    per_hit = np.bincount(rows[:, 0], deposited) if len(rows) else np.empty(0)
    return {
        "g4_id": rows[:, 1].astype(np.int32),
        "hit_id": rows[:, 0].astype(np.int32),
        "energy": deposited.astype(np.float32),
        "energy_fraction": (deposited / per_hit[rows[:, 0]]).astype(np.float32),
    }


def spacepoints(hits: Table, per_hit: int) -> Table:
    """Find the points where hits of three planes (or two, if the third saw nothing) meet.

    Crossing wires whose signals coincide in time and charge make a point, true or a ghost; each hit
    of plane y keeps its ``per_hit`` best triples. ``hits`` are the columns of the hit_table, with
    hit_id counting from 0.

    Returns the columns of pynuml's spacepoint_table: ``hit_id_*`` is -1 where a plane has no hit,
    ``position`` ``[n, 3]`` is in cm.
    """
    wire = hits["local_wire"].astype(np.int64)
    time, charge = hits["local_time"].astype(np.float64), hits["integral"].astype(np.float64)
    by_plane = [np.flatnonzero(hits["local_plane"] == p) for p in range(3)]
    triples = _best_triples(_triples(by_plane, wire, time), time, charge, per_hit)
    used = np.zeros(len(wire), np.bool_)
    used[triples.ravel()] = True
    rows = [triples]
    for a, b in ((0, 2), (1, 2), (0, 1)):
        free_a, free_b = (by_plane[p][~used[by_plane[p]]] for p in (a, b))
        pair = _closest_pairs(a, free_a, b, free_b, wire, time)
        row = np.full((len(pair), 3), -1, np.int64)
        row[:, a], row[:, b] = pair[:, 0], pair[:, 1]
        used[pair.ravel()] = True
        rows.append(row)
    hit_ids = np.concatenate(rows)
    hit_ids = hit_ids[np.lexsort((hit_ids[:, 1], hit_ids[:, 0], hit_ids[:, 2]))]
    return {
        "spacepoint_id": np.arange(len(hit_ids), dtype=np.int32),
        "hit_id_u": hit_ids[:, 0].astype(np.int32),
        "hit_id_v": hit_ids[:, 1].astype(np.int32),
        "hit_id_y": hit_ids[:, 2].astype(np.int32),
        "position": _positions(hit_ids, wire, time).astype(np.float32),
    }


def _ranges(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Return all pairs ``(i, j)`` with ``low[i] <= j < high[i]``."""
    counts = np.maximum(high - low, 0)
    owner = np.repeat(np.arange(len(low)), counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, low[owner] + offset


def _coincident(a: Ints, b: Ints, time: Floats, ticks: float) -> tuple[Ints, Ints]:
    """Return pairs of hits from ``a`` and ``b`` that arrive within ``ticks`` of each other."""
    ordered = b[np.argsort(time[b], kind="stable")]
    low = np.searchsorted(time[ordered], time[a] - ticks)
    high = np.searchsorted(time[ordered], time[a] + ticks, side="right")
    first, second = _ranges(low, high)
    return a[first], ordered[second]


def _triples(by_plane: list[Ints], wire: Ints, time: Floats) -> Ints:
    hits_u, hits_y = _coincident(by_plane[0], by_plane[2], time, _COINCIDENCE_TICKS)
    points = detector.crossing(0, wire[hits_u], 2, wire[hits_y])
    inside = _inside_yz(points)
    hits_u, hits_y, points = hits_u[inside], hits_y[inside], points[inside]
    expected = detector.wire_coordinates(np.concatenate((np.zeros((len(points), 1)), points), 1))
    below = np.floor(expected[:, 1] - 0.5)
    hits_u, hits_y = np.tile(hits_u, 2), np.tile(hits_y, 2)
    wire_v = np.concatenate((below, below + 1.0))
    # One sorted key finds the hits on a wire between two times.
    scale = 4.0 * detector.READOUT_TICKS
    hits_v = by_plane[1]
    key = wire[hits_v] * scale + time[hits_v]
    order = np.argsort(key, kind="stable")
    key, hits_v = key[order], hits_v[order]
    earliest = np.maximum(time[hits_u], time[hits_y]) - _COINCIDENCE_TICKS
    latest = np.minimum(time[hits_u], time[hits_y]) + _COINCIDENCE_TICKS
    low = np.searchsorted(key, wire_v * scale + earliest)
    high = np.searchsorted(key, wire_v * scale + latest, side="right")
    pair, third = _ranges(low, high)
    return np.stack((hits_u[pair], hits_v[third], hits_y[pair]), axis=1)


def _best_triples(triples: Ints, time: Floats, charge: Floats, per_hit: int) -> Ints:
    """Keep, for each hit of plane y, the ``per_hit`` triples that agree best in time and charge."""
    late = time[triples].std(axis=1) / _TIME_ERROR_TICKS
    unlike = np.log(charge[triples]).std(axis=1) / 0.2
    order = np.lexsort((late**2 + unlike**2, triples[:, 2]))
    hits = triples[order, 2]
    first = np.searchsorted(hits, hits)
    return triples[order[np.arange(len(hits)) - first < per_hit]]


def _closest_pairs(a: int, hits_a: Ints, b: int, hits_b: Ints, wire: Ints, time: Floats) -> Ints:
    """Pair each hit of plane ``a`` with the nearest coincident hit of plane ``b`` it can meet."""
    first, second = _coincident(hits_a, hits_b, time, _PAIR_TICKS)
    inside = _inside_yz(detector.crossing(a, wire[first], b, wire[second]))
    first, second = first[inside], second[inside]
    order = np.lexsort((np.abs(time[first] - time[second]), first))
    first, second = first[order], second[order]
    _, nearest = np.unique(first, return_index=True)
    return np.stack((first[nearest], second[nearest]), axis=1)


def _inside_yz(points: Floats) -> NDArray[np.bool_]:
    return np.all((points >= detector.LOWER[1:]) & (points <= detector.UPPER[1:]), axis=1)


def _positions(hit_ids: Ints, wire: Ints, time: Floats) -> Floats:
    """Return positions ``[n, 3]`` in cm, from the hits' mean time and two crossing wires."""
    known = hit_ids >= 0
    ticks = np.where(known, time[hit_ids], 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    positions = np.empty((len(hit_ids), 3))
    positions[:, 0] = detector.drift_distance(ticks)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        rows = known[:, a] & known[:, b]
        wires = wire[hit_ids[rows]]
        positions[rows, 1:] = detector.crossing(a, wires[:, a], b, wires[:, b])
    return positions
