"""An event's graph is exactly the original's, or a sensible one where the original fails."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError
from tests.unit.applications.nugraph.graphs import event, golden, golden_event

from naiad.applications.nugraph.prepare import plane_edges, prepare
from naiad.applications.nugraph.schema import PLANES, SAMPLE
from naiad.core.schema import validate
from naiad.errors import InvalidInput


def pairs(edges) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, b in edges.T}


def assert_proper(edges, n: int) -> None:
    """Check that edges are unique, symmetric, without loops, sorted by target and source."""
    assert edges.dtype == np.int64
    assert edges.shape[0] == 2
    assert edges.size == 0 or (edges.min() >= 0 and edges.max() < n)
    found = pairs(edges)
    assert len(found) == edges.shape[1]
    assert all((b, a) in found and a != b for a, b in found)
    assert np.array_equal(np.lexsort(edges), np.arange(edges.shape[1]))


def assert_connected(edges, n: int) -> None:
    graph = coo_array((np.ones(edges.shape[1]), tuple(edges)), shape=(n, n))
    assert n == 0 or connected_components(graph)[0] == 1


def original(position):
    """Make edges from Qhull's triangles as PyTorch Geometric does."""
    found: set[tuple[int, int]] = set()
    for a, b, c in Delaunay(position, qhull_options="QJ").simplices:
        found |= {(a, b), (b, a), (b, c), (c, b), (a, c), (c, a)}
    return found


def test_a_real_event_gives_the_graph_of_the_original(shared_data):
    reference = golden(shared_data)
    sample = prepare(golden_event(reference))
    validate(SAMPLE, sample)
    assert len(sample["sp_event"]) == reference["num_sp"]
    assert sample["unknown_hits"] == 0
    mean_std = {
        "u": (
            [389.42752, 172.90794, 147.81108, 4.5563765],
            [147.1627, 78.01324, 228.31424, 2.2156637],
        ),
        "v": (
            [368.83023, 173.01247, 154.14513, 4.449338],
            [145.29645, 80.54078, 282.34027, 1.8969047],
        ),
        "y": (
            [546.2973, 172.77615, 116.974, 4.1647816],
            [283.47656, 73.99135, 115.49256, 1.4615369],
        ),
    }
    for plane in PLANES:
        mean, std = np.array(mean_std[plane], np.float32)
        x = sample[f"x_{plane}"]
        assert np.array_equal(x[:, :2], reference[f"pos_{plane}"])
        assert np.array_equal((x - mean) / std, reference[f"x_{plane}"])
        edges = sample[f"plane_edge_{plane}"]
        assert pairs(edges) == pairs(reference[f"edge_plane_{plane}"])
        assert_proper(edges, len(x))
        assert np.array_equal(sample[f"nexus_edge_{plane}"], reference[f"edge_nexus_{plane}"])


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40),
    st.sampled_from([(0.3, 0.055), (0.3, 0.0), (0.0, 0.055), (1e6, 1e-3)]),
)
def test_any_plane_has_a_proper_graph_and_the_originals_if_that_exists(points, scale):
    position = np.array(points, np.float32).reshape(-1, 2) * np.float32(scale)
    edges = plane_edges(position)
    assert_proper(edges, len(position))
    try:
        expected = original(position) if len(position) > 3 else None
    except QhullError:
        expected = None
    if expected is None:
        assert_connected(edges, len(position))
    else:
        # Qhull's answer is taken unchanged; it may leave one of several hits at one point alone.
        assert pairs(edges) == expected


@pytest.mark.parametrize(("n", "edges"), [(0, 0), (1, 0), (2, 2), (3, 6)])
def test_three_hits_or_fewer_are_all_linked(n, edges):
    for position in (np.zeros((n, 2)), np.arange(2 * n).reshape(n, 2), np.eye(n, 2)):
        found = plane_edges(position.astype(np.float32))
        assert found.shape == (2, edges)
        assert_proper(found, n)
        assert_connected(found, n)


@pytest.mark.parametrize(
    "position",
    [
        np.full((5000, 2), 50.0),
        np.stack((np.full(5000, 300.0), np.arange(5000) * 0.055), axis=1),
        np.stack((np.arange(5000) * 0.3, np.full(5000, 50.0)), axis=1),
        np.random.default_rng(0).integers(0, 40, (5000, 2)) * 0.3,
        np.random.default_rng(0).integers(0, 2, (5000, 1)) * [1.0, 1.0],
        # Far closer than times are measured: one wire, repeated positions, 1e-5 apart.
        np.stack((np.full(2000, 357.0), np.random.default_rng(0).integers(0, 99, 2000) * 1e-5), 1),
    ],
    ids=["identical", "one wire", "one time", "repeated", "two points", "one wire, coincident"],
)
def test_coincident_and_collinear_hits_do_not_take_long(position):
    position = position.astype(np.float32)
    started = time.perf_counter()
    edges = plane_edges(position)
    # At most about 0.3 ms per hit; the bound leaves room for a busy machine.
    assert time.perf_counter() - started < 10
    assert np.array_equal(edges, plane_edges(position))
    assert_proper(edges, len(position))


def test_hits_at_one_point_are_linked_to_the_first_of_them():
    edges = plane_edges(np.full((5, 2), 7.0, np.float32))
    assert pairs(edges) == {pair for i in range(1, 5) for pair in ((0, i), (i, 0))}


def test_rows_are_the_planes_hits_in_table_order():
    arrays = event((9, 8, 7), seed=3)
    sample = prepare(arrays)
    for index, plane in enumerate(PLANES):
        own = arrays["hit_table_local_plane"] == index
        assert np.array_equal(sample[f"x_{plane}"][:, 2], arrays["hit_table_integral"][own])
        assert np.array_equal(sample[f"x_{plane}"][:, 3], arrays["hit_table_rms"][own])


@given(
    st.lists(st.integers(0, 12), min_size=3, max_size=3),
    st.integers(0, 20),
    st.integers(0, 1000),
    st.floats(0, 1),
)
def test_nexus_edges_are_the_join_of_the_two_tables(hits, spacepoints, seed, missing):
    arrays = event(hits, spacepoints, seed=seed, missing=missing)
    sample = prepare(arrays)
    validate(SAMPLE, sample)
    for index, plane in enumerate(PLANES):
        own = arrays["hit_table_hit_id"][arrays["hit_table_local_plane"] == index].tolist()
        expected = [
            (own.index(hit), row)
            for row, hit in enumerate(arrays[f"spacepoint_table_hit_id_{plane}"])
            if hit in own
        ]
        assert [tuple(edge) for edge in sample[f"nexus_edge_{plane}"].T] == expected


def test_unknown_hits_are_left_out_and_counted():
    arrays = event(missing=0)
    on_v = arrays["hit_table_hit_id"][arrays["hit_table_local_plane"] == 1][0]
    column = arrays["spacepoint_table_hit_id_u"]
    column[[3, 7, 8]] = [999_999, on_v, -1]  # nowhere; on another plane; none
    sample = prepare(arrays)
    assert sample["unknown_hits"] == 2
    assert not {3, 7, 8} & set(sample["nexus_edge_u"][1].tolist())
    assert sample["nexus_edge_u"].shape[1] == 27


def test_strict_refuses_the_first_unknown_hit():
    arrays = event(missing=0)
    prepare(arrays, strict=True)
    arrays["spacepoint_table_hit_id_v"][[11, 12]] = 999_999
    message = r"spacepoint_table_hit_id_v\[11\] is 999999; no hit on plane v has that hit_id"
    with pytest.raises(InvalidInput, match=message):
        prepare(arrays, strict=True)


def test_strict_refuses_spacepoints_without_any_hit():
    arrays = event((0, 0, 0), 4)
    prepare(arrays, strict=True)
    arrays["spacepoint_table_hit_id_y"][2] = 5
    with pytest.raises(InvalidInput, match=r"hit_id_y\[2\] is 5"):
        prepare(arrays, strict=True)
    assert prepare(arrays)["unknown_hits"] == 1


def test_a_charge_above_the_limit_of_the_weights_is_refused():
    arrays = event()
    arrays["hit_table_integral"][5] = 5001
    with pytest.raises(InvalidInput, match=r"hit_table_integral\[5\] is 5001; .* at most 5000 ADC"):
        prepare(arrays, max_integral=5000)


def test_extreme_hit_ids_and_wires_are_accepted():
    arrays = event((4, 0, 0), 2, missing=0)
    arrays["hit_table_hit_id"][:] = [0, 2**31 - 1, 5, 6]
    arrays["spacepoint_table_hit_id_u"][:] = [2**31 - 1, 0]
    arrays["hit_table_local_wire"][:2] = [2**31 - 1, -(2**31)]
    sample = prepare(arrays)
    assert sample["nexus_edge_u"].tolist() == [[1, 0], [0, 1]]
    assert_proper(sample["plane_edge_u"], 4)
