"""Events and graphs for the tests of NuGraph3's preparation and network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.prepare import prepare
from naiad.applications.nugraph.schema import INPUTS, PLANES, SAMPLE
from naiad.core.merging import Batch, collate
from naiad.core.schema import measure, validate

Arrays = dict[str, NDArray[Any]]

# From the original's specification: absolute tolerances of a correct implementation.
TOLERANCE = {"e_evt": 1e-4, "x_semantic": 1e-4, "x_filter": 1e-5, "v_evt": 5e-4}


def golden(shared_data: Path) -> Arrays:
    """Return the original code's input, graph and output for a real event."""
    with np.load(shared_data / "nugraph3" / "golden_small.npz") as file:
        return dict(file)


def golden_event(reference: Arrays) -> Arrays:
    return {name[3:]: array for name, array in reference.items() if name.startswith("in_")}


def event(
    hits: Sequence[int] = (20, 15, 25),
    spacepoints: int = 30,
    *,
    seed: int = 0,
    missing: float = 0.2,
) -> Arrays:
    """Make a random event with these numbers of hits on planes u, v and y, shuffled."""
    rng = np.random.default_rng(seed)
    total = sum(hits)
    plane = rng.permutation(np.repeat(np.arange(3, dtype=np.int32), hits))
    hit_id = rng.choice(10 * total + 1, total, replace=False).astype(np.int32)
    arrays: Arrays = {
        "hit_table_hit_id": hit_id,
        "hit_table_local_plane": plane,
        "hit_table_local_time": rng.uniform(0, 6000, total).astype(np.float32),
        "hit_table_local_wire": rng.integers(0, 2400, total).astype(np.int32),
        "hit_table_integral": rng.exponential(150, total).astype(np.float32),
        "hit_table_rms": rng.uniform(1, 10, total).astype(np.float32),
        "spacepoint_table_spacepoint_id": np.arange(spacepoints, dtype=np.int32),
    }
    for index, name in enumerate(PLANES):
        own = hit_id[plane == index]
        chosen = np.full(spacepoints, -1, np.int32)
        if own.size:
            seen = rng.random(spacepoints) >= missing
            chosen[seen] = rng.choice(own, int(seen.sum()))
        arrays[f"spacepoint_table_hit_id_{name}"] = chosen
    validate(INPUTS, arrays)
    return arrays


def merge(events: Sequence[Arrays]) -> Batch:
    """Merge the events into one batch of torch tensors."""
    samples = [prepare(e) for e in events]
    return collate(SAMPLE, samples, [measure(SAMPLE, s) for s in samples]).torch("cpu")


def parts(outputs: Mapping[str, Any], batch: Batch) -> list[Arrays]:
    """Return each event's share of the network's outputs."""
    shares: list[Arrays] = [{} for _ in range(batch.requests)]
    for name, output in outputs.items():
        rows = np.ones(batch.requests, np.int64)
        if not name.endswith("_evt"):
            rows = batch.sizes(f"hits_{name[-1]}")
        for share, part in zip(
            shares, np.split(np.asarray(output), np.cumsum(rows)[:-1]), strict=True
        ):
            share[name] = part
    return shares


def assert_close(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Compare outputs within the tolerances of the original's specification."""
    for name, expected in wanted.items():
        kind = name if name.endswith("_evt") else name.rpartition("_")[0]
        assert found[name].shape == expected.shape, name
        np.testing.assert_allclose(
            np.asarray(found[name]), np.asarray(expected), rtol=1e-5, atol=TOLERANCE[kind]
        )
