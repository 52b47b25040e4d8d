"""Products on the command line, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.unit.applications.products.shops import random_net
from typer.testing import CliRunner, Result

from naiad.applications.products.card import Architecture, ProductsCard
from naiad.applications.products.graph import open_graph
from naiad.applications.products.pipeline import Products
from naiad.applications.products.results import Labels, ProductsResult
from naiad.applications.products.task import ProductsTask
from naiad.card import read_card
from naiad.cli.main import app
from naiad.errors import InvalidInput, NaiadError, Unavailable
from naiad.tasks.output import Output


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop"
    assert run("simulate", "products", "-n", 600, "-o", path, "--seed", 4).exit_code == 0
    return path


def test_a_graph_is_simulated_and_not_overwritten(shop: Path) -> None:
    assert len(open_graph(shop)) == 600
    again = run("simulate", "products", "-n", 20, "-o", shop)
    assert "--force overwrites it" in str(again.exception)
    assert run("simulate", "products", "-n", 20, "-o", shop, "--force").exit_code == 0
    assert len(open_graph(shop)) == 20


def test_training_says_how_it_went_and_names_its_graph(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    words = ("train", "products", "--data", shop, "-o", folder, "--epochs", 2, "--hidden", 8)
    result = run(*words, "--fanouts", "4,3", "--batch", 16)
    assert result.exit_code == 0, result.exception
    assert "test accuracy 0." in result.output
    assert "trained on a synthetic co-purchase graph" in result.output
    assert f"naiad serve products --weights {folder}" in result.output
    assert {path.name for path in folder.iterdir()} == {
        *("weights.json", "weights.safetensors", "metrics.json", "curve.csv", "curve.png")
    }
    assert read_card(folder, ProductsCard).graph == str(shop)
    assert len(Products(folder).graph) == 600


@pytest.mark.parametrize("fanouts", ["a,b", "", "5,"])
def test_fan_outs_that_are_no_numbers_are_refused(tmp_path: Path, fanouts: str) -> None:
    result = run("train", "products", "-o", tmp_path / "w", "--fanouts", fanouts)
    assert isinstance(result.exception, InvalidInput)
    assert "give numbers, such as 15,10,5" in str(result.exception)


def test_training_refuses_what_it_cannot_learn_from(tmp_path: Path) -> None:
    result = run("train", "products", "--data", tmp_path / "nothing", "-o", tmp_path / "w")
    assert isinstance(result.exception, InvalidInput)
    assert not (tmp_path / "w").exists()


def test_a_checkpoint_is_imported_with_the_graphs_categories(shop: Path, tmp_path: Path) -> None:
    torch.save(random_net(Architecture(hidden=8)).state_dict(), tmp_path / "sage.pt")
    words = ("weights", "import", "products", tmp_path / "sage.pt", "-o", tmp_path / "w")
    result = run(*words, "--graph", shop)
    assert result.exit_code == 0, result.exception
    assert read_card(tmp_path / "w", ProductsCard).classes[0] == "synthetic category 1"
    assert len(Products(tmp_path / "w").graph) == 600
    shown = run("weights", "show", tmp_path / "w")
    assert "synthetic category 47" in shown.output
    names = tmp_path / "names.txt"
    names.write_text("".join(f"Shelf {number}\n" for number in range(47)))
    result = run(*words, "--categories", names, "--force")
    assert read_card(tmp_path / "w", ProductsCard).classes[46] == "Shelf 46"
    assert "naiad serve graph_embeddings" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("infer", "products", 17),
        ("products", "embed"),
        ("products", "recommend", 17),
    ],
)
def test_no_server_is_reported_with_what_to_do(words: tuple[object, ...]) -> None:
    result = run(*words, "--url", "localhost:1")
    assert isinstance(result.exception, Unavailable)
    assert "`naiad serve products" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "t.xlsx"], "written as .npz, .csv, .parquet"),
        (["--plot", "p.bmp"], "pictures are written as .png, "),
        (["-o", "there.csv"], "exists; --force overwrites it"),
    ],
)
def test_files_that_cannot_be_written_are_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").touch()
    result = run("infer", "products", 17, *options)
    assert isinstance(result.exception, NaiadError)
    assert message in str(result.exception)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_results_are_written(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 4).astype(np.float32)
    parameters = {"categories": json.dumps(["a", "b,c", "d"]), "products": "9", "edges": "4"}
    result = ProductsResult(
        product=np.array([3, 1, 8, 3]),
        embeddings=rng.normal(size=(4, 2, 5)).astype(np.float32),
        logits=np.log(probabilities),
        probabilities=probabilities,
        neighbours=np.array([2, 0, 1, 2]),
        labels=Labels.from_parameters({**parameters, "notice": "for tests"}),
    )
    path = tmp_path / f"t{suffix}"
    with Output(ProductsTask(), path, result.labels, ProductsTask.Options()) as output:
        output.add("", result.product, result)
    expected = [result.top(row, 1)[0][0] for row in range(4)]
    if suffix == ".npz":
        with np.load(path) as file:
            np.testing.assert_array_equal(file["embeddings"], result.embeddings)
            assert str(file["notice"]) == "for tests"
    elif suffix == ".csv":
        import csv

        with path.open() as file:
            rows = list(csv.DictReader(file))
        assert [row["category"] for row in rows] == expected
        assert [int(row["product"]) for row in rows] == [3, 1, 8, 3]
    else:
        import pyarrow.parquet as pq

        assert pq.read_table(path)["category"].to_pylist() == expected
