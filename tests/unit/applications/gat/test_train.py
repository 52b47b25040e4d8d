"""Training learns, stops early, and writes weights that answer as they were evaluated."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from naiad.applications.gat.graphs import CitationGraph, read_graph
from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.simulate import simulate
from naiad.applications.gat.train import Epoch, train
from naiad.applications.gat.weights import load_weights
from naiad.errors import InvalidInput, NaiadError


@pytest.fixture(scope="module")
def graph() -> CitationGraph:
    return simulate(400, 0)


def served_accuracy(folder: Path, graph: CitationGraph) -> float:
    net, _ = load_weights(folder)
    arrays = graph.arrays(row_normalised=True)
    with torch.inference_mode():
        scores = net(*(torch.from_numpy(array) for array in arrays.values())).numpy()
    return float((scores.argmax(axis=1) == graph.topics)[graph.test].mean())


def test_it_learns_and_writes_the_evaluated_weights(tmp_path: Path, graph: CitationGraph) -> None:
    seen: list[tuple[int, Epoch]] = []
    result = train(
        graph,
        tmp_path / "w",
        epochs=40,
        lr=0.02,
        notice="for tests",
        progress=lambda number, epoch: seen.append((number, epoch)),
    )
    assert result.test_accuracy is not None
    assert result.test_accuracy > 0.6
    assert served_accuracy(tmp_path / "w", graph) == pytest.approx(result.test_accuracy)
    assert [number for number, _ in seen] == list(range(40))
    assert result.epochs == [epoch for _, epoch in seen]
    best = max(epoch.validation_accuracy for epoch in result.epochs)
    assert result.epochs[result.best_epoch].validation_accuracy == best
    facts = Gat(tmp_path / "w").metadata()
    assert facts["trained_on"] == graph.source
    assert facts["notice"] == "for tests"
    report = json.loads((tmp_path / "w" / "metrics.json").read_text())
    assert report["test_accuracy"] == result.test_accuracy
    with (tmp_path / "w" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [epoch.loss for epoch in result.epochs]


def test_the_seed_determines_the_weights(tmp_path: Path, graph: CitationGraph) -> None:
    def curve(seed: int) -> list[Epoch]:
        return train(graph, tmp_path / "w", epochs=2, seed=seed).epochs

    assert curve(1) == curve(1) != curve(2)


def test_it_stops_when_nothing_improves(tmp_path: Path, graph: CitationGraph) -> None:
    result = train(graph, tmp_path / "w", epochs=50, lr=1e-9, patience=3)
    assert len(result.epochs) < 50


def test_a_diverging_loss_is_reported(tmp_path: Path, graph: CitationGraph) -> None:
    with pytest.raises(NaiadError, match="not finite any more, in epoch"):
        train(graph, tmp_path / "w", lr=1e30)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"topics": np.empty(0, np.int64)}, "no topics"),
        ({"train": np.empty(0, np.int64)}, "no train_idx"),
        ({"validation": np.empty(0, np.int64)}, "no val_idx"),
        ({"topics": np.full(400, -1)}, "a paper of the split has no topic"),
    ],
)
def test_a_graph_without_truth_is_refused(
    tmp_path: Path, graph: CitationGraph, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        train(replace(graph, **changes), tmp_path / "w")


@pytest.mark.slow
def test_cora_is_learned_as_in_the_paper(shared_data: Path, tmp_path: Path) -> None:
    cora = read_graph(shared_data / "cora" / "cora.npz")
    result = train(cora, tmp_path / "w", epochs=60, lr=0.015, patience=60)
    assert result.test_accuracy is not None
    assert result.test_accuracy > 0.79  # with the defaults, 300 epochs: 0.825
    assert Gat(tmp_path / "w").metadata()["classes"].startswith("Theory,Reinforcement_Learning")
