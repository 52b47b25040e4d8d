"""The reference that Naiad is measured against is the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.nugraph3.answers import largest_difference
from benchmarks.nugraph3.inputs import SIZES, make_weights, simulated
from tests.unit.applications.nugraph.graphs import golden, golden_event

from naiad.applications.nugraph.pipeline import NuGraph3 as Pipeline
from naiad.applications.nugraph.prepare import prepare
from naiad.applications.nugraph.weights import import_checkpoint, load_weights
from naiad.core.pipeline import Request
from naiad.runtime.runner import Runner

pytestmark = pytest.mark.filterwarnings("ignore:There exist node types:UserWarning")


@pytest.fixture(autouse=True)
def _needs_torch_geometric():
    pytest.importorskip("torch_geometric", reason="the reference needs the extra bench")


def reference(weights: Path):
    """Return answers to arrays, as from the served model."""
    from benchmarks.reference.graph import Preparation
    from benchmarks.reference.network import NuGraph3

    net, metadata = load_weights(weights)
    model = NuGraph3()
    model.load_state_dict(net.state_dict())
    preparation = Preparation(metadata.mean, metadata.std)

    @torch.no_grad()
    def answer(arrays):
        return {name: value.numpy() for name, value in model(preparation(arrays)).items()}

    return answer


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    make_weights(folder)
    return folder


@pytest.mark.parametrize("size", SIZES)
def test_reference_and_pipeline_answer_alike(size, weights):
    events = simulated(size, 3).requests
    report = Runner(Pipeline(weights)).run([Request(event) for event in events])
    share, worst = largest_difference(map(reference(weights), events), report.outcomes)
    assert share <= 1, worst
    # Weights that give every event the same answer would prove nothing.
    first, second = (outcome["v_evt"] for outcome in report.outcomes[:2])
    assert np.abs(first - second).max() > 0.01


def test_the_reference_is_the_original(shared_data, tmp_path):
    import_checkpoint(shared_data / "nugraph3" / "hierarchical.ckpt", tmp_path)
    expected = golden(shared_data)
    _, worst = largest_difference([reference(tmp_path)(golden_event(expected))], [expected])
    assert max(worst.values()) < 1e-5


def test_both_prepare_the_same_graph(weights):
    from benchmarks.reference.graph import PLANES, Preparation

    (event,) = simulated("small", 1).requests
    _, metadata = load_weights(weights)
    graph, ours = Preparation(metadata.mean, metadata.std)(event), prepare(event)
    for plane in PLANES:
        theirs = graph[plane, "plane", plane].edge_index.numpy()
        order = np.lexsort(theirs)
        np.testing.assert_array_equal(theirs[:, order], ours[f"plane_edge_{plane}"])
        nexus = graph[plane, "nexus", "sp"].edge_index
        np.testing.assert_array_equal(nexus, ours[f"nexus_edge_{plane}"])


@pytest.mark.parametrize(("size", "hits", "points"), [("small", 200, 100), ("large", 1300, 1400)])
def test_events_have_the_sizes_that_are_spoken_of(size, hits, points):
    events = simulated(size, 4)
    assert events.median("hit_table_hit_id") == pytest.approx(hits, rel=0.2)
    assert events.median("spacepoint_table_spacepoint_id") == pytest.approx(points, rel=0.4)
    again = simulated(size, 1).requests[0]
    np.testing.assert_array_equal(again["hit_table_rms"], events.requests[0]["hit_table_rms"])
