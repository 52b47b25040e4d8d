"""Training learns, writes loadable weights, and evaluates them on unseen events."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from naiad.applications import nugraph
from naiad.applications.nugraph.card import Architecture
from naiad.applications.nugraph.dataset import load_graphs, merge, prepare_graph, split_events
from naiad.applications.nugraph.events import open_events, write_events
from naiad.applications.nugraph.labels import (
    BACKGROUND,
    EVENT_CLASSES,
    SEMANTIC_CLASSES,
    event_label,
    semantic_labels,
)
from naiad.applications.nugraph.metrics import Metrics
from naiad.applications.nugraph.schema import PLANES
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.train import Progress, Training, evaluate, train
from naiad.applications.nugraph.weights import load_weights
from naiad.applications.training import METRICS_FILE
from naiad.errors import InvalidInput, NaiadError

pytestmark = pytest.mark.slow

TINY = Architecture(planar_features=16, nexus_features=8, interaction_features=8, num_iters=2)
DATA = Path(nugraph.__file__).parent / "data"
NOTICE = "trained on simulated events, not for physics"


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.h5"
    write_events(path, simulate(20, seed=3))
    return path


@pytest.fixture(scope="module")
def trained(events: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Training, Path]:
    folder = tmp_path_factory.mktemp("weights") / "new"
    result = train(
        events,
        folder,
        epochs=2,
        batch_events=4,
        architecture=TINY,
        command="naiad train nugraph3",
    )
    return result, folder


def test_two_epochs_lower_the_loss(trained: tuple[Training, Path]) -> None:
    result, _ = trained
    assert len(result.losses) == 2
    assert result.losses[1] < result.losses[0]
    assert result.events == {"training": 16, "validation": 2, "test": 2}


def test_the_weights_load_with_their_metadata(trained: tuple[Training, Path]) -> None:
    result, folder = trained
    network, metadata = load_weights(folder)
    assert network.arch == TINY
    assert metadata.notice == NOTICE
    assert metadata.semantic_classes == SEMANTIC_CLASSES
    assert metadata.event_classes == EVENT_CLASSES
    assert metadata.provenance["command"] == "naiad train nugraph3"
    assert metadata.provenance["events"] == "events.h5"
    assert metadata.provenance["seed"] == "0"
    assert metadata.provenance["training_events"] == "16"
    assert "semantic accuracy" in metadata.provenance["held_out"]
    report = json.loads((folder / METRICS_FILE).read_text())
    assert report["notice"] == NOTICE
    assert report["metrics"] == result.metrics
    assert report["losses"] == result.losses


def test_the_metrics_are_those_of_the_saved_network_on_the_held_out_events(
    trained: tuple[Training, Path], events: Path
) -> None:
    result, folder = trained
    network, _ = load_weights(folder)
    graphs = load_graphs(events)
    _, _, test = split_events(len(graphs), 0.1, 0.1, seed=0)
    # The vertex is in cm although the network was trained on another scale.
    assert evaluate(network, [graphs[i] for i in test], 4) == result.metrics


def test_features_are_normalised_by_the_training_events_alone(
    trained: tuple[Training, Path], events: Path
) -> None:
    _, metadata = load_weights(trained[1])
    graphs = load_graphs(events)
    training, _, _ = split_events(len(graphs), 0.1, 0.1, seed=0)
    for plane in PLANES:
        features = np.concatenate([graphs[i].sample[f"x_{plane}"] for i in training])
        np.testing.assert_allclose(metadata.mean[plane], features.mean(axis=0), rtol=1e-4)
        np.testing.assert_allclose(metadata.std[plane], features.std(axis=0), rtol=1e-4)


def test_the_same_seed_gives_the_same_network(
    trained: tuple[Training, Path], events: Path, tmp_path: Path
) -> None:
    first, _ = trained
    again = train(events, tmp_path / "a", epochs=2, batch_events=4, architecture=TINY)
    other = train(events, tmp_path / "b", epochs=2, batch_events=4, architecture=TINY, seed=1)
    assert again.losses == pytest.approx(first.losses, rel=1e-4)
    assert other.losses != pytest.approx(first.losses, rel=1e-4)


def test_training_stops_when_it_no_longer_helps(events: Path, tmp_path: Path) -> None:
    result = train(
        events, tmp_path / "w", epochs=50, batch_events=8, lr=0.0, patience=2, architecture=TINY
    )
    assert len(result.validation_losses) == 3
    assert result.best_epoch == 0


def test_a_loss_that_diverges_is_an_error(events: Path, tmp_path: Path) -> None:
    with pytest.raises(NaiadError, match=r"not finite .* try a smaller lr"):
        train(events, tmp_path / "w", epochs=3, batch_events=4, lr=1e30, architecture=TINY)
    assert not (tmp_path / "w").exists()


def test_progress_is_reported_after_every_batch(events: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    train(
        events,
        tmp_path / "w",
        epochs=2,
        batch_events=10,
        architecture=TINY,
        progress=told.append,
    )
    assert [(p.epoch, p.batch) for p in told] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert {(p.epochs, p.batches) for p in told} == {(2, 2)}
    assert [p.validation_loss is None for p in told] == [True, True, False, False]


def test_the_number_of_torch_threads_is_restored(
    events: Path, tmp_path: Path, trained: tuple[Training, Path]
) -> None:
    before = torch.get_num_threads()
    train(events, tmp_path / "w", epochs=1, threads=before + 1, architecture=TINY)
    assert torch.get_num_threads() == before


def test_events_without_truth_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    write_events(path, (replace(event, truth=None) for event in simulate(3, seed=0)))
    with pytest.raises(InvalidInput, match="event 0 has no truth; training needs"):
        train(path, tmp_path / "w", architecture=TINY)


def test_too_few_events_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    write_events(path, simulate(2, seed=0))
    with pytest.raises(InvalidInput, match="2 events cannot be split"):
        train(path, tmp_path / "w", architecture=TINY)


def test_events_are_split_without_overlap() -> None:
    parts = split_events(103, 0.1, 0.2, seed=5)
    assert [len(part) for part in parts] == [72, 10, 21]
    assert sorted(itertools.chain(*parts)) == list(range(103))
    assert parts == split_events(103, 0.1, 0.2, seed=5)
    assert parts != split_events(103, 0.1, 0.2, seed=6)


def test_labels_stay_with_their_hits_in_a_batch(events: Path) -> None:
    graphs = load_graphs(events)
    batch, truth = merge(graphs[:3])
    with open_events(events) as file:
        read = list(file[:3])
    for number, plane in enumerate(PLANES):
        assert len(batch[f"x_{plane}"]) == len(truth[f"y_semantic_{plane}"])
        expected = [e.truth.semantic[e.hits["local_plane"] == number] for e in read if e.truth]
        np.testing.assert_array_equal(truth[f"y_semantic_{plane}"], np.concatenate(expected))
        charge = np.concatenate([e.hits["integral"][e.hits["local_plane"] == number] for e in read])
        np.testing.assert_array_equal(batch[f"x_{plane}"][:, 2].numpy(), charge)


def test_the_particle_with_most_energy_names_the_hit() -> None:
    particles = {"g4_id": np.array([1, 2, 3, 4]), "category": np.array([1, 3, 7, 8])}
    edeps = {
        "hit_id": np.array([5, 5, 6, 7, 8, 9]),
        "g4_id": np.array([1, 2, 2, 3, 99, 4]),
        "energy": np.array([1.0, 2.0, 1.0, 0.1, 5.0, 1.0]),
    }
    labels = semantic_labels(np.array([9, 8, 7, 6, 5, 4]), particles, edeps)
    # Particle 99 is not in the table, category 8 leaves no hits, and hit 4 has no energy.
    names = [SEMANTIC_CLASSES[i] if i != BACKGROUND else None for i in labels]
    assert names == [None, None, "diffuse", "hadron", "hadron", None]


def test_hits_without_any_truth_are_background() -> None:
    nothing = np.empty(0, np.int32)
    edeps = {"hit_id": nothing, "g4_id": nothing, "energy": nothing}
    labels = semantic_labels(np.arange(3), {"g4_id": nothing, "category": nothing}, edeps)
    assert labels.tolist() == [BACKGROUND] * 3


@pytest.mark.parametrize(
    ("is_cc", "pdg", "label"), [(1, 12, 0), (1, -14, 1), (1, 16, 2), (0, 14, 3), (1, 22, -1)]
)
def test_the_kind_of_an_event_comes_from_its_neutrino(is_cc: int, pdg: int, label: int) -> None:
    assert event_label({"is_cc": np.array([is_cc]), "nu_pdg": np.array([pdg])}) == label


def test_metrics_count_correct_answers() -> None:
    metrics = Metrics()
    eye = np.eye(7)
    for _ in range(2):
        metrics.add(
            {
                "e_evt": np.array([[0.0, 9.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]]),
                "v_evt": np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]]),
                **{f"x_semantic_{p}": eye[[1, 1, 3, 0]] for p in PLANES},
                **{f"x_filter_{p}": np.array([0.9, 0.8, 0.2, 0.1]) for p in PLANES},
            },
            {
                "y_event": np.array([1, 3]),
                "y_vertex": np.zeros((2, 3)),
                **{f"y_semantic_{p}": np.array([1, 0, 3, -1]) for p in PLANES},
            },
        )
    summary = metrics.summary()
    assert summary["events"] == 4
    assert summary["hits"] == 24
    assert summary["semantic_accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert summary["semantic_recall"]["muon"] == 1.0
    assert summary["semantic_precision"]["muon"] == 0.5
    assert summary["semantic_recall"]["pion"] == 0.0
    assert summary["semantic_recall"]["kaon"] is None
    assert summary["filter_accuracy"] == 0.75
    assert summary["filter_recall"] == pytest.approx(2 / 3, abs=1e-4)
    assert summary["filter_precision"] == 1.0
    assert summary["event_accuracy"] == 0.5
    assert summary["event_recall"] == {"cc_nue": None, "cc_numu": 1.0, "cc_nutau": None, "nc": 0.0}
    assert summary["vertex_median_cm"] == 2.5
    json.dumps(summary)


def test_the_shipped_weights_reach_their_metrics_on_new_events() -> None:
    network, metadata = load_weights(DATA / "weights")
    promised = json.loads((DATA / "weights" / METRICS_FILE).read_text())
    assert metadata.notice == promised["notice"] == NOTICE
    graphs = [prepare_graph(event) for event in simulate(150, seed=987)]
    found = evaluate(network, graphs, 16)
    for name, tolerance in (
        ("semantic_accuracy", 0.06),
        ("filter_accuracy", 0.03),
        ("event_accuracy", 0.12),
    ):
        assert found[name] == pytest.approx(promised["metrics"][name], abs=tolerance)
    assert found["vertex_median_cm"] < 1.4 * promised["metrics"]["vertex_median_cm"]


def test_the_example_file_is_small_and_shows_every_class() -> None:
    path = DATA / "example.h5"
    assert path.stat().st_size < 300_000
    with open_events(path) as file:
        events = list(file)
    assert len(events) == 5
    labels = np.concatenate([event.truth.semantic for event in events if event.truth])
    assert set(labels.tolist()) == {BACKGROUND, *range(len(SEMANTIC_CLASSES))}
