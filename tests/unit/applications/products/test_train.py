"""Training learns, and what is written is what was judged; OGB's files are read."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from naiad.applications.products.card import Architecture
from naiad.applications.products.datasets import training_graph
from naiad.applications.products.graph import ProductGraph, write_graph
from naiad.applications.products.model import SageNet
from naiad.applications.products.pipeline import Products
from naiad.applications.products.simulate import simulate
from naiad.applications.products.train import Epoch, accuracy, train
from naiad.applications.products.weights import load_weights
from naiad.cli.main import app
from naiad.errors import InvalidInput, NaiadError


@pytest.fixture(scope="module")
def graph() -> ProductGraph:
    return simulate(2_000, 0)


def test_it_learns_and_what_is_written_is_what_was_judged(
    tmp_path: Path, graph: ProductGraph
) -> None:
    seen: list[tuple[int, Epoch]] = []
    result = train(
        graph,
        tmp_path / "w",
        graph_folder="graph",
        epochs=8,
        batch=64,
        lr=0.01,
        hidden=32,
        fanouts=(10, 5),
        notice="for tests",
        progress=lambda number, epoch: seen.append((number, epoch)),
    )
    assert result.test_accuracy is not None
    assert result.test_accuracy > 0.5  # the largest category is a quarter of all
    assert [number for number, _ in seen] == list(range(8))
    best = max(epoch.validation_accuracy for epoch in result.epochs)
    assert result.epochs[result.best_epoch].validation_accuracy == best
    net, metadata = load_weights(tmp_path / "w")
    assert accuracy(net, graph, graph.test) == result.test_accuracy
    assert (metadata.notice, metadata.graph, metadata.fanouts) == ("for tests", "graph", (10, 5))
    report = json.loads((tmp_path / "w" / "metrics.json").read_text())
    assert report["test_accuracy"] == result.test_accuracy
    with (tmp_path / "w" / "curve.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [
            e.loss for e in result.epochs
        ]


def test_the_seed_decides(tmp_path: Path, graph: ProductGraph) -> None:
    def curve(seed: int) -> list[Epoch]:
        return train(graph, tmp_path / "w", epochs=1, hidden=8, fanouts=(3, 3), seed=seed).epochs

    assert curve(1) == curve(1) != curve(2)


def test_a_loss_that_is_lost_is_reported(tmp_path: Path, graph: ProductGraph) -> None:
    with pytest.raises(NaiadError, match="not finite any more, in epoch"):
        train(graph, tmp_path / "w", epochs=5, batch=32, lr=1e30, hidden=8, fanouts=(3, 3))
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category": np.empty(0, np.int16)}, "no categories"),
        ({"train": np.empty(0, np.int64)}, "no products for train"),
        ({"validation": np.empty(0, np.int64)}, "no products for validation"),
        ({"category": np.full(2_000, -1, np.int16)}, "a product of the split has no category"),
    ],
)
def test_a_graph_without_truth_is_refused(
    tmp_path: Path, graph: ProductGraph, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        train(replace(graph, **changes), tmp_path / "w")


def write_ogb(folder: Path, graph: ProductGraph) -> None:
    """A graph in the files of the Open Graph Benchmark."""

    def write(name: str, rows: list[list[object]]) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / name, "wt") as file:
            file.writelines(",".join(map(str, row)) + "\n" for row in rows)

    source = np.repeat(np.arange(len(graph)), graph.degrees())
    once = source < graph.indices
    write("raw/edge.csv.gz", np.stack([source, graph.indices], 1)[once].tolist())
    write("raw/node-feat.csv.gz", graph.features.astype(np.float32).tolist())
    write("raw/node-label.csv.gz", graph.category[:, None].tolist())
    for name, part in (("train", "train"), ("valid", "validation"), ("test", "test")):
        write(f"split/sales_ranking/{name}.csv.gz", getattr(graph, part)[:, None].tolist())
    names = [[number, f"Shelf {number}"] for number in range(47)]
    write("mapping/labelidx2productcategory.csv.gz", [["label idx", "product category"], *names])


@pytest.fixture(scope="module")
def ogb(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ProductGraph]:
    folder, small = tmp_path_factory.mktemp("ogbn_products"), simulate(200, 3)
    write_ogb(folder, small)
    return folder, small


def test_ogbs_files_are_read_as_they_are(ogb: tuple[Path, ProductGraph], tmp_path: Path) -> None:
    folder, expected = ogb
    read: dict[str, int] = {}
    found, name = training_graph(folder, tmp_path / "w", 0, read.__setitem__)
    assert name == "graph"
    assert read["edge.csv.gz"] == expected.edges // 2
    assert read["node-feat.csv.gz"] == 200
    for part in ("indptr", "indices", "category", "train", "validation", "test"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
    np.testing.assert_array_equal(found.features, expected.features.astype(np.float32))
    assert found.categories[:2] == ("Shelf 0", "Shelf 1")
    assert not list((tmp_path / "w" / "graph").glob("*.part*"))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("raw/edge.csv.gz", "1,2,3\n", "edge.csv.gz: not 2 numbers per line"),
        ("raw/edge.csv.gz", "1,x\n", "edge.csv.gz: not 2 numbers per line"),
        ("raw/edge.csv.gz", "1,200\n", "edge.csv.gz: a pair has a 200; it must be 0 to 199"),
        ("raw/node-feat.csv.gz", "1.5,2\n", "has 1 lines; there are 200 products"),
        ("raw/node-label.csv.gz", None, "node-label.csv.gz cannot be read"),
        ("split/sales_ranking/valid.csv.gz", None, "valid.csv.gz cannot be read"),
    ],
)
def test_what_is_wrong_with_ogbs_files_is_said(
    tmp_path: Path, ogb: tuple[Path, ProductGraph], file: str, text: str | None, message: str
) -> None:
    write_ogb(tmp_path / "ogb", ogb[1])
    if text is None:
        (tmp_path / "ogb" / file).unlink()
    else:
        with gzip.open(tmp_path / "ogb" / file, "wt") as damaged:
            damaged.write(text)
    with pytest.raises(InvalidInput, match=message):
        training_graph(tmp_path / "ogb", tmp_path / "w", 0)


def test_a_graph_of_naiads_is_named_where_it_is(tmp_path: Path, graph: ProductGraph) -> None:
    write_graph(tmp_path / "shop", graph)
    found, name = training_graph(tmp_path / "shop", tmp_path / "w", 0)
    assert (len(found), name) == (2_000, str(tmp_path / "shop"))
    (tmp_path / "raw").mkdir()
    with pytest.raises(InvalidInput, match=r"not raw/edge\.csv\.gz, as OGB"):
        training_graph(tmp_path, tmp_path / "w", 0)


@pytest.mark.parametrize("above", [False, True])
def test_a_checkpoint_is_imported_with_ogbs_folder(
    tmp_path: Path, ogb: tuple[Path, ProductGraph], above: bool
) -> None:
    folder, expected = tmp_path / "dataset" / "ogbn_products", ogb[1]
    write_ogb(folder, expected)
    architecture = Architecture(expected.features.shape[1], 8, 47, 2)
    torch.save(SageNet(architecture).state_dict(), tmp_path / "sage.pt")
    words = ["weights", "import", "products", str(tmp_path / "sage.pt"), "-o", str(tmp_path / "w")]
    given = folder.parent if above else folder
    result = CliRunner().invoke(app, [*words, "--graph", str(given), "--fanouts", "5,5"])
    assert result.exit_code == 0, result.output
    assert "naiad serve products --weights" in result.output.replace("\n", " ")
    served = Products(tmp_path / "w")
    assert len(served.graph) == len(expected)
    assert load_weights(tmp_path / "w")[1].classes[:2] == ("Shelf 0", "Shelf 1")


def test_a_checkpoint_of_other_features_is_refused(
    tmp_path: Path, ogb: tuple[Path, ProductGraph]
) -> None:
    torch.save(SageNet(Architecture(7, 8, 47, 2)).state_dict(), tmp_path / "sage.pt")
    words = ["weights", "import", "products", str(tmp_path / "sage.pt"), "-o", str(tmp_path / "w")]
    result = CliRunner().invoke(app, [*words, "--graph", str(ogb[0])])
    assert "features per product; the weights need 7" in str(result.exception)


def test_weights_without_a_graph_are_served_by_the_model_that_needs_none(tmp_path: Path) -> None:
    torch.save(SageNet(Architecture()).state_dict(), tmp_path / "sage.pt")
    words = ["weights", "import", "products", str(tmp_path / "sage.pt"), "-o", str(tmp_path / "w")]
    result = CliRunner().invoke(app, words)
    assert "naiad serve graph_embeddings --weights" in result.output.replace("\n", " ")
    assert "serve products" not in result.output.replace("\n", " ")
