"""Events prepared for training: graphs with labels, split into parts and merged into batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.nugraph.events import Event, open_events
from naiad.applications.nugraph.prepare import prepare
from naiad.applications.nugraph.schema import PLANES, SAMPLE
from naiad.core.merging import Batch, collate
from naiad.core.schema import measure
from naiad.errors import InvalidInput

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Graph:
    """One prepared event with its labels."""

    sample: Arrays
    sizes: dict[str, int]
    truth: Arrays
    """``y_semantic_p`` [hits_p], ``y_event`` [1], ``y_vertex`` [1, 3] in cm."""


def load_graphs(events: Path | str) -> list[Graph]:
    """Read and prepare all events of a file; raise `InvalidInput` if one has no truth."""
    graphs: list[Graph] = []
    with open_events(events) as file:
        for number, event in enumerate(file):
            if event.truth is None:
                raise InvalidInput(
                    f"{events}: event {number} has no truth; training needs event_table, "
                    "particle_table (with category) and edep_table"
                )
            graphs.append(prepare_graph(event))
    return graphs


def prepare_graph(event: Event) -> Graph:
    """Prepare one event with truth for the network."""
    truth = event.truth
    if truth is None:
        raise InvalidInput(f"event {event.run}, {event.subrun}, {event.event} has no truth")
    sample = dict(prepare(event.arrays()))
    plane = event.hits["local_plane"]
    labels: Arrays = {
        f"y_semantic_{name}": truth.semantic[plane == number] for number, name in enumerate(PLANES)
    }
    labels["y_event"] = np.array([truth.event_class], np.int64)
    labels["y_vertex"] = truth.vertex[None].astype(np.float32)
    return Graph(sample, measure(SAMPLE, sample), labels)


def split_events(
    count: int, validation_fraction: float, test_fraction: float, seed: int
) -> tuple[list[int], list[int], list[int]]:
    """Return the numbers of the training, validation and test events, at least one of each."""
    validation = max(1, round(count * validation_fraction))
    test = max(1, round(count * test_fraction))
    if count - validation - test < 1:
        raise InvalidInput(
            f"{count} events cannot be split into training, validation ({validation_fraction:g}) "
            f"and test ({test_fraction:g}) events; at least 3 are needed"
        )
    order = np.random.default_rng(seed).permutation(count).tolist()
    return (
        order[validation + test :],
        order[:validation],
        order[validation : validation + test],
    )


def merge(graphs: Sequence[Graph]) -> tuple[Batch, Arrays]:
    """Return the block-diagonal batch of graphs, and their concatenated labels."""
    batch = collate(SAMPLE, [g.sample for g in graphs], [g.sizes for g in graphs])
    truth = {name: np.concatenate([g.truth[name] for g in graphs]) for name in graphs[0].truth}
    return batch.torch("cpu"), truth
