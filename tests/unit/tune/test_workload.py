from itertools import islice

import numpy as np
import pytest

import naiad
from naiad import Tensor
from naiad.applications.gat.graphs import write_graph
from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.simulate import simulate as simulate_graph
from naiad.applications.nugraph.events import write_events
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.applications.nugraph.simulate import simulate, simulated_requests
from naiad.core.pipeline import load_pipeline
from naiad.core.schema import validate
from naiad.errors import InvalidInput
from naiad.tune.workload import cut, find_workload

DEGREE = f"{__file__.rpartition('/tune/')[0]}/runtime/degree.py"


@pytest.fixture
def picky():
    return load_pipeline(f"{DEGREE}:Picky")()


def test_random_requests_vary_in_each_dimension_alone_within_the_limit(picky):
    workload = find_workload(picky, None, seed=1)
    assert workload.source == "256 random requests"
    nodes, edges = (
        np.array([request.sizes[dim] for request in workload.requests])
        for dim in ("nodes", "edges")
    )
    for sizes in (nodes, edges):
        assert sizes.min() <= 3
        assert 40 <= sizes.max() <= 50
    assert abs(np.corrcoef(nodes, edges)[0, 1]) < 0.3


def test_a_seed_gives_the_same_requests_and_another_others(picky):
    def sizes(seed):
        return [dict(r.sizes) for r in find_workload(picky, None, seed).requests]

    assert sizes(3) == sizes(3) != sizes(4)


def test_simulated_requests_of_nugraph3_are_small_and_large_ones():
    found = list(simulated_requests(8, seed=0))
    hits = [validate(NuGraph3.inputs, arrays)["hits"] for arrays in found]
    assert np.mean(hits[3::4]) > 3 * np.mean(np.delete(hits, [3, 7]))
    again = simulated_requests(8, seed=0)
    for arrays, others in zip(found, again, strict=True):
        assert all((arrays[name] == others[name]).all() for name in arrays)


def test_an_event_file_is_read_as_the_application_does(tmp_path):
    path = tmp_path / "events.h5"
    write_events(path, islice(simulate(5, 0), 5))
    workload = find_workload(NuGraph3(), path, seed=0)
    assert workload.source == f"5 requests of {path}"
    assert len(workload.requests) == 5


def graph(nodes):
    return {"x": np.zeros((nodes, 2), np.float32), "edge_index": np.zeros((2, 3), np.int64)}


def test_npz_files_are_requests_and_those_over_the_limit_are_left_out(picky, tmp_path):
    for nodes in (4, 6, 51):
        np.savez(tmp_path / f"{nodes}.npz", **graph(nodes))
    workload = find_workload(picky, tmp_path, seed=0)
    assert sorted(request.sizes["nodes"] for request in workload.requests) == [4, 6]
    assert workload.mean_sizes() == {"requests": 1, "nodes": 5, "edges": 3}
    (alone,) = find_workload(picky, tmp_path / "6.npz", seed=0).requests
    np.testing.assert_array_equal(alone["x"], graph(6)["x"])


def test_what_cannot_be_read_is_named(picky, tmp_path):
    with pytest.raises(InvalidInput, match="nothing: no such file or folder"):
        find_workload(picky, tmp_path / "nothing", seed=0)
    with pytest.raises(InvalidInput, match=r"for picky, Naiad can only read \.npz"):
        find_workload(picky, tmp_path, seed=0)
    (tmp_path / "a.npz").write_text("not a zip")
    with pytest.raises(InvalidInput, match=r"a\.npz is not a \.npz file of plain arrays"):
        find_workload(picky, tmp_path / "a.npz", seed=0)
    np.savez(tmp_path / "a.npz", x=np.array([{}], object))
    with pytest.raises(InvalidInput, match=r"a\.npz is not a \.npz file of plain arrays"):
        find_workload(picky, tmp_path / "a.npz", seed=0)
    np.savez(tmp_path / "a.npz", x=graph(3)["x"])
    with pytest.raises(
        InvalidInput, match=r"no request that picky accepts; .*'edge_index' is missing"
    ):
        find_workload(picky, tmp_path / "a.npz", seed=0)
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InvalidInput, match=r"for picky, Naiad can only read \.npz"):
        find_workload(picky, tmp_path / "a.csv", seed=0)


def test_fewer_requests_than_wanted_are_repeated_in_turn(picky):
    requests = find_workload(picky, None, seed=0).requests[:3]
    assert cut(requests, 7) == (*requests, *requests, requests[0])


def test_an_application_s_own_npz_files_are_told_from_plain_requests(tmp_path):
    gat = Gat()
    graph = simulate_graph(30)
    write_graph(tmp_path / "a.npz", graph)
    (own,) = find_workload(gat, tmp_path, seed=0).requests
    np.savez(tmp_path / "a.npz", **own.arrays)
    (plain,) = find_workload(gat, tmp_path / "a.npz", seed=0).requests
    assert own.sizes == plain.sizes
    assert all((own[name] == plain[name]).all() for name in own)


def test_what_takes_bytes_is_asked_its_example():
    workload = find_workload(load_pipeline(f"{DEGREE}:Bytes")(), None, seed=0)
    assert workload.source == "256 times the example"


def test_random_requests_are_like_the_example_that_a_pipeline_has() -> None:
    class Molecules(naiad.Pipeline):
        inputs = {
            "x": Tensor("float32", ("nodes", 3)),
            "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
        }
        outputs = {"y": Tensor("float32", ("requests",))}
        budget = naiad.Budget(nodes=100_000, edges=100_000)

        def example(self):
            return {"x": np.ones((20, 3), np.float32), "edge_index": np.zeros((2, 44), np.int64)}

    sizes = [request.sizes for request in find_workload(Molecules(), None, 0).requests]
    nodes = {size["nodes"] for size in sizes}
    assert min(nodes) < 8 < 60 < max(nodes)
    assert nodes <= {*range(5, 81)}
    assert all(abs(size["edges"] - 2.2 * size["nodes"]) < 3 for size in sizes)
