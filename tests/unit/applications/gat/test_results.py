"""Results of a graph are shown, written and drawn as they are."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread
from pyarrow import parquet

from naiad.applications.gat.display import MOST_PAPERS, draw_graph, draw_training
from naiad.applications.gat.graphs import CitationGraph
from naiad.applications.gat.report import TopicsReport
from naiad.applications.gat.results import GatResult, GraphFile, Labels
from naiad.applications.gat.schema import CLASSES
from naiad.applications.gat.simulate import TOPICS, simulate
from naiad.applications.gat.task import GatTask
from naiad.applications.gat.train import Epoch
from naiad.errors import NaiadError, PipelineError
from naiad.tasks.output import Output

LABELS = Labels(TOPICS, trained_on="nothing", notice="for tests")


def answered(graph: CitationGraph, labels: Labels = LABELS) -> GatResult:
    """Make a result that is right for papers whose number 10 does not divide."""
    topics = np.where(np.arange(len(graph)) % 10, graph.topics, (graph.topics + 1) % CLASSES)
    return GatResult(graph, 3 * np.eye(CLASSES, dtype=np.float32)[topics], labels)


def test_topics_confidence_and_counts_follow_from_the_scores() -> None:
    result = answered(simulate(50))
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(result.confidence, np.exp(3) / (np.exp(3) + 6), rtol=1e-6)
    assert sum(result.counts().values()) == 50
    assert result.counts()[TOPICS[2]] == (result.topics == 2).sum()


def test_accuracy_is_that_of_the_test_papers() -> None:
    graph = simulate(100)
    share, papers = answered(graph).accuracy() or (0, 0)
    assert papers == len(graph.test)
    assert share == pytest.approx((graph.test % 10 != 0).mean())


def test_topics_of_other_names_are_not_compared() -> None:
    result = answered(simulate(100), Labels(tuple("abcdefg")))
    assert result.accuracy() is None
    assert not result.comparable


def test_labels_are_those_of_the_server() -> None:
    said = {"classes": "a,b,c,d,e,f,g", "row_normalised": "false", "notice": "n"}
    assert Labels.from_parameters(said) == Labels(tuple("abcdefg"), False, "", "n")
    assert Labels.from_parameters({}).classes[6] == "topic 6"
    with pytest.raises(PipelineError, match="names 2 classes; it must have 7"):
        Labels.from_parameters({"classes": "a,b"})


def test_files_have_a_row_per_paper(tmp_path: Path) -> None:
    result = answered(simulate(30))
    for suffix in ("csv", "parquet", "npz"):
        with Output(GatTask(), tmp_path / f"r.{suffix}", LABELS, GatTask.Options()) as output:
            output.add("graph.npz", result.graph, result)
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "r.parquet")
    names = [TOPICS[topic] for topic in result.topics]
    assert [row["topic"] for row in rows] == table["topic"].to_pylist() == names
    six_digits = [f"{p:.6g}" for p in result.probabilities[:, 3].tolist()]
    assert [row[TOPICS[3]] for row in rows] == six_digits
    np.testing.assert_array_equal(table[TOPICS[3]].to_numpy(), result.probabilities[:, 3])
    facts = {"notice": "for tests", "trained_on": "nothing"}
    assert json.loads(table.schema.metadata[b"naiad"]) == facts
    with np.load(tmp_path / "r.npz") as file:
        assert np.array_equal(file["logits"], result.logits)
        assert (str(file["notice"]), tuple(file["classes"])) == ("for tests", TOPICS)


def test_an_npz_file_has_one_graph_and_its_provenance(tmp_path: Path) -> None:
    result = answered(simulate(10))
    writer = GraphFile(None, tmp_path / "part.npz", LABELS)
    writer.add("a.npz", result.graph, result)
    with pytest.raises(
        NaiadError, match=r"b\.npz: an \.npz file holds one graph's topics; write the results to"
    ):
        writer.add("b.npz", result.graph, result)
    writer.close()
    GraphFile.merge(None, [tmp_path / "part.npz"], tmp_path / "whole.npz", {"input": "a.npz"})
    with np.load(tmp_path / "whole.npz") as file:
        assert np.array_equal(file["topics"], result.topics)
        assert json.loads(str(file["provenance"])) == {"input": "a.npz"}


def test_the_report_has_a_table_for_each_graph(capsys: pytest.CaptureFixture[str]) -> None:
    report = TopicsReport()
    for papers in (100, 30):
        report.add(SimpleNamespace(name="g", result=answered(simulate(papers)), unit=None))
    report.print(0.25)
    printed = capsys.readouterr().out
    assert "a synthetic citation graph: 100 papers, " in printed
    assert printed.count("synthetic topic 3 ") == 2
    assert "of 40 test papers with a known topic are right" in printed
    assert "2 graphs in 0.2 s" in printed


@pytest.mark.parametrize("papers", [1, 2, 80])
def test_a_graph_is_drawn(tmp_path: Path, papers: int) -> None:
    draw_graph(answered(simulate(papers)), tmp_path / "g.png")
    picture = imread(tmp_path / "g.png")
    assert picture.shape[:2] == (900, 1200)
    assert picture[..., :3].std() > 0.01


def test_a_graph_of_too_many_papers_is_not_drawn(tmp_path: Path) -> None:
    with pytest.raises(NaiadError, match="too many to draw"):
        draw_graph(answered(simulate(MOST_PAPERS + 1)), tmp_path / "g.png")


def test_a_training_is_drawn(tmp_path: Path) -> None:
    draw_training([Epoch(2, 2, 0.1), Epoch(1, 1.5, 0.4)], 1, tmp_path / "c.png", "a title")
    assert imread(tmp_path / "c.png")[..., :3].std() > 0.01
