"""``naiad infer|simulate|train gat`` and ``naiad weights import gat``, as a user runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.unit.applications.gat.graphs import random_net
from typer.testing import CliRunner, Result

from naiad.applications.gat import planetoid
from naiad.applications.gat.card import GatCard
from naiad.applications.gat.graphs import read_graph
from naiad.card import read_card
from naiad.cli.main import app
from naiad.errors import InvalidInput, NaiadError, Unavailable


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.npz"
    assert run("simulate", "gat", "-n", "200", "-o", path, "--seed", "4").exit_code == 0
    return path


def test_a_graph_is_simulated_and_not_overwritten(graph: Path) -> None:
    assert len(read_graph(graph)) == 200
    again = run("simulate", "gat", "-n", "20", "-o", graph)
    assert isinstance(again.exception, NaiadError)
    assert "--force overwrites it" in str(again.exception)
    assert run("simulate", "gat", "-n", "20", "-o", graph, "--force").exit_code == 0
    assert len(read_graph(graph)) == 20


def test_training_reports_its_metrics_and_draws_its_curve(graph: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    result = run("train", "gat", "--data", graph, "-o", folder, "--epochs", "3", "--seed", "1")
    assert result.exit_code == 0, result.exception
    assert "test accuracy 0." in result.output
    assert "trained on a synthetic citation graph" in result.output
    assert f"naiad serve gat --weights {folder}" in result.output
    assert {path.name for path in folder.iterdir()} == {
        *("weights.json", "weights.safetensors", "metrics.json", "curve.csv", "curve.png")
    }
    card = read_card(folder, GatCard)
    assert card.notice == "trained on a synthetic citation graph"
    assert card.provenance["seed"] == "1"


def test_training_refuses_a_file_that_is_not_a_graph(tmp_path: Path) -> None:
    (tmp_path / "g.npz").write_bytes(b"nothing")
    result = run("train", "gat", "--data", tmp_path / "g.npz", "-o", tmp_path / "w")
    assert isinstance(result.exception, InvalidInput)
    assert not (tmp_path / "w").exists()


def test_a_checkpoint_is_imported_with_coras_topics_by_default(tmp_path: Path) -> None:
    torch.save(random_net().state_dict(), tmp_path / "gat.pt")
    result = run("weights", "import", "gat", tmp_path / "gat.pt", "-o", tmp_path / "w")
    assert result.exit_code == 0, result.exception
    assert read_card(tmp_path / "w", GatCard).classes == planetoid.TOPICS
    shown = run("weights", "show", tmp_path / "w")
    assert shown.exit_code == 0
    assert "Rule_Learning" in shown.output


def test_no_server_is_reported_before_anything_is_written(graph: Path, tmp_path: Path) -> None:
    result = run("infer", "gat", graph, "--url", "localhost:1", "-o", tmp_path / "t.csv")
    assert isinstance(result.exception, Unavailable)
    assert "naiad serve gat" in str(result.exception)
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "t.xlsx"], "written as .npz, .csv, .parquet, not .xlsx"),
        (["-o", "graph.npz", "--force"], "graph.npz is an input"),
        (["-o", "there.csv"], "exists; --force overwrites it"),
        (["--plot", "graph.npz"], "pictures are written as .png, .jpg, .svg, .pdf"),
    ],
)
def test_unwritable_files_are_refused_first(
    graph: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(graph.parent)
    Path("there.csv").touch()
    result = run("infer", "gat", graph, *options)
    assert isinstance(result.exception, NaiadError)
    assert message in str(result.exception)


def test_weights_need_a_local_server(graph: Path) -> None:
    assert run("infer", "gat", graph, "--weights", "w").exit_code == 2
