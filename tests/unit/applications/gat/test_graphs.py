"""Graphs are read and written unchanged; invalid ones are refused with the reason."""

from __future__ import annotations

import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from naiad.applications.gat import planetoid
from naiad.applications.gat.graphs import (
    CitationGraph,
    normalise_rows,
    read_graph,
    write_graph,
)
from naiad.applications.gat.schema import CLASSES, FEATURES, INPUTS
from naiad.applications.gat.simulate import simulate
from naiad.applications.gat.task import GatTask
from naiad.core.schema import validate
from naiad.errors import InvalidInput

ARRAYS = ("x", "edge_index", "topics", "train", "validation", "test")


def same(one: CitationGraph, other: CitationGraph) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


def test_a_written_graph_is_read_back(tmp_path: Path) -> None:
    graph = simulate(60, seed=1)
    write_graph(tmp_path / "g.npz", graph)
    found = read_graph(tmp_path / "g.npz")
    assert same(found, graph)
    assert (found.source, found.classes) == (graph.source, graph.classes)
    assert found.x.dtype == np.float32
    assert found.edge_index.dtype == np.int64


def test_features_may_be_dense_and_topics_unknown(tmp_path: Path) -> None:
    graph = simulate(9, seed=2)
    np.savez(tmp_path / "g.npz", x=graph.x.astype(np.int8), edge_index=graph.edge_index)
    found = read_graph(tmp_path / "g.npz")
    assert np.array_equal(found.x, graph.x)
    assert (found.source, len(found.topics), found.classes) == ("g.npz", 0, ())


def test_a_file_is_a_request(tmp_path: Path) -> None:
    write_graph(tmp_path / "g.npz", simulate(20))
    (arrays,) = GatTask.requests_in(tmp_path / "g.npz")
    validate(INPUTS, arrays)
    np.testing.assert_allclose(arrays["x__0"].sum(axis=1), 1, rtol=1e-5)


def test_rows_without_words_stay_empty() -> None:
    assert normalise_rows(np.array([[0, 0], [1, 3]], np.float32)).tolist() == [[0, 0], [0.25, 0.75]]


def wrong(**changes: Any) -> dict[str, Any]:
    arrays = {"x": np.ones((3, FEATURES)), "edge_index": np.zeros((2, 4), int)}
    return {name: value for name, value in {**arrays, **changes}.items() if value is not None}


SPARSE = {
    "x_shape": np.array([2, FEATURES]),
    "x_indptr": np.array([0, 1, 2]),
    "x_indices": np.array([5, 6]),
    "x": None,
}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (wrong(x=np.ones((3, 5))), r"x has shape \[3, 5\]; it must be \[papers, 1433\]"),
        (wrong(edge_index=None), r"has x; a graph needs x .* and edge_index"),
        (wrong(edge_index=np.zeros((3, 4), int)), r"edge_index has shape \[3, 4\]"),
        (wrong(edge_index=np.full((2, 1), 3)), "edge_index names paper 3; there are 3 papers"),
        (wrong(edge_index=np.full((2, 1), -1)), "edge_index names paper -1"),
        (wrong(edge_index=np.zeros((2, 1))), "cannot be read as an .npz file"),
        (wrong(train_idx=np.array([7])), "train_idx names paper 7; there are 3 papers"),
        (wrong(y=np.zeros(5, int)), r"y has shape \[5\]; it must be \[3\]"),
        (wrong(y=np.array([0, 9, 0]), classes=np.array(["a"])), "y has topic 9"),
        (wrong(**SPARSE | {"x_shape": np.array([2, 7])}), r"x_shape is \[2, 7\]"),
        (wrong(**SPARSE | {"x_shape": np.array([10**9, FEATURES])}), "x_shape is"),
        (wrong(**SPARSE | {"x_indptr": np.array([0, 2, 1])}), "x_indptr must rise from 0 to"),
        (wrong(**SPARSE | {"x_indices": np.array([5, 6, 7])}), "x_indptr must rise from 0 to"),
        (
            wrong(**SPARSE | {"x_indices": np.array([5, FEATURES])}),
            "x_indices are 5 to 1433; they must be 0 to 1432",
        ),
    ],
)
def test_an_invalid_graph_is_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    np.savez(tmp_path / "g.npz", **arrays)
    with pytest.raises(InvalidInput, match=message):
        read_graph(tmp_path / "g.npz")


def test_pickles_in_an_npz_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "g.npz", **wrong(x=np.array([{"a": 1}], object)))
    with pytest.raises(InvalidInput, match="allow_pickle"):
        read_graph(tmp_path / "g.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something", b"paper,topic\n1,2\n"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.npz").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"g\.npz: cannot be read"):
        read_graph(tmp_path / "g.npz")


def write_planetoid(folder: Path, graph: CitationGraph, protocol: int = 2) -> Path:
    """Write files like the benchmark's, with test papers in another order."""
    folder.mkdir(exist_ok=True)
    papers = len(graph)
    test = np.random.default_rng(0).permutation(graph.test)
    known = papers - len(test)
    assert sorted(test) == list(range(known, papers))
    one_hot = np.eye(CLASSES, dtype=np.int32)[graph.topics]
    neighbours = defaultdict(list)
    for source, target in graph.edge_index.T.tolist():
        neighbours[source] += [target, target]  # twice, as in the files
    parts = {
        "x": csr_matrix(graph.x[graph.train]),
        "y": one_hot[graph.train],
        "allx": csr_matrix(graph.x[:known]),
        "ally": one_hot[:known],
        "tx": csr_matrix(graph.x[test]),
        "ty": one_hot[test],
        "graph": neighbours,
    }
    for name, part in parts.items():
        with (folder / f"ind.cora.{name}").open("wb") as file:
            pickle.dump(part, file, protocol=protocol)
    (folder / "ind.cora.test.index").write_text("".join(f"{paper}\n" for paper in test))
    return folder


def benchmark_like() -> CitationGraph:
    """Make a graph with papers in the benchmark's order: training, validation, test."""
    graph = simulate(100, seed=3)
    assert not (graph.topics < 0).any()
    known = 60
    return CitationGraph(
        source=graph.source,
        x=graph.x,
        edge_index=graph.edge_index,
        classes=planetoid.TOPICS,
        topics=graph.topics,
        train=np.arange(20),
        validation=np.arange(20, known),
        test=np.arange(known, 100),
    )


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_planetoids_files_are_read(tmp_path: Path, protocol: int) -> None:
    graph = benchmark_like()
    found = read_graph(write_planetoid(tmp_path / "raw", graph, protocol))
    assert same(found, graph)
    assert (found.source, found.classes) == ("Cora (planetoid)", planetoid.TOPICS)


def test_cora_is_read_from_planetoids_files(shared_data: Path, tmp_path: Path) -> None:
    cora = read_graph(shared_data / "cora" / "cora.npz")
    found = read_graph(write_planetoid(tmp_path / "raw", cora))
    assert same(found, cora)
    assert found.classes == cora.classes
    assert (len(found), found.edge_index.shape) == (2708, (2, 10556))


def test_names_of_python_2_are_known(tmp_path: Path) -> None:
    folder = write_planetoid(tmp_path / "raw", benchmark_like())
    for name in ("allx", "tx", "ty", "ally", "y"):
        path = folder / f"ind.cora.{name}"
        data = path.read_bytes().replace(b"cscipy.sparse._csr\n", b"cscipy.sparse.csr\n")
        path.write_bytes(data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert same(read_graph(folder), benchmark_like())


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("part", ["allx", "graph", "y"])
def test_a_pickle_that_asks_for_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = write_planetoid(tmp_path / "raw", benchmark_like())
    (folder / f"ind.cora.{part}").write_bytes(pickle.dumps({0: Harm()}, protocol=2))
    with pytest.raises(InvalidInput, match=rf"ind\.cora\.{part}: refused: it asks for "):
        read_graph(folder)
    assert not (tmp_path / "harm").exists()


def objects() -> bytes:
    return pickle.dumps(np.array([[None]], object), protocol=2)


@pytest.mark.parametrize(
    ("part", "content", "message"),
    [
        ("ty", b"", r"ind\.cora\.ty: damaged"),
        ("ty", pickle.dumps([1]), r"ind\.cora\.ty: no array \[papers, 7\]"),
        ("ty", objects(), "refused: an array of objects"),
        ("allx", pickle.dumps(3), r"ind\.cora\.allx: no sparse matrix"),
        ("allx", pickle.dumps(csr_matrix((2, 3703))), r"shape \[2, 3703\] in place of"),
        ("graph", pickle.dumps({0: ["a"]}), r"ind\.cora\.graph: no lists of neighbours"),
        ("graph", pickle.dumps({0: [5_000]}), "edge_index names paper 5000"),
        ("test.index", b"seven", r"ind\.cora\.test\.index: no list of papers"),
        ("test.index", b"1\n2\n", "100 papers, 100 topics, 2 for test"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, part: str, content: bytes, message: str) -> None:
    folder = write_planetoid(tmp_path / "raw", benchmark_like())
    (folder / f"ind.cora.{part}").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_graph(folder)


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"planetoid's folder has ind\.cora\.x"):
        read_graph(tmp_path)
