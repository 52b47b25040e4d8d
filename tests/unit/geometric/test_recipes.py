"""The recipes of examples/: merged answers against those of one graph, and of calculus."""

from __future__ import annotations

import sys
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.markdown import ROOT

from naiad import testing
from naiad.core.pipeline import load_pipeline
from naiad.errors import InvalidInput


def example(spec: str) -> tuple[Any, dict[str, Any]]:
    """Return the pipeline of an example, and the names in its file."""
    kind = load_pipeline(f"{ROOT / 'examples'}/{spec}")
    return kind, vars(sys.modules[kind.__module__])


@pytest.fixture(scope="module")
def forces() -> tuple[testing.Subject, Any, dict[str, Any]]:
    kind, members = example("force_field.py:Forces")
    return testing.load(kind), deepcopy(kind.examined).double(), members


def energy(net: torch.nn.Module, graph: Any, pos: np.ndarray, members: dict[str, Any]) -> float:
    """Compute one molecule's energy in float64, with pairs of these positions."""
    edges = torch.from_numpy(members["pairs"](pos))
    nodes = torch.zeros(len(pos), dtype=torch.int64)
    found = net(graph.z, torch.from_numpy(pos), edges, nodes, 1)
    return found["energy"].item()


def test_forces_of_merged_molecules_are_the_differences_of_their_energies(forces) -> None:
    model, net, members = forces
    torch.manual_seed(5)
    graphs = [members["molecule"](atoms) for atoms in (2, 6, 17, 1)]
    step = 1e-4
    for graph, answer in zip(graphs, testing.run(model, *graphs), strict=True):
        pos = graph.pos.double().numpy()
        assert answer["energy"] == pytest.approx(energy(net, graph, pos, members), rel=1e-5)
        expected = np.zeros_like(pos)
        for at in np.ndindex(pos.shape):
            ends = []
            for sign in (1, -1):
                moved = pos.copy()
                moved[at] += sign * step
                ends.append(energy(net, graph, moved, members))
            expected[at] = -(ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(answer["forces"], expected, rtol=1e-3, atol=1e-5)
        assert np.abs(expected).max() > 1e-3 or len(pos) == 1


def test_forces_do_not_depend_on_the_molecules_beside(forces) -> None:
    model, _, members = forces
    graphs = [members["molecule"](atoms) for atoms in (30, 1, 8, 2)]
    testing.check_batching(model, *graphs)
    empty = {"z": np.zeros(0, np.int64), "pos": np.zeros((0, 3), np.float32)}
    *_, last = testing.run(model, graphs[0], empty)
    assert last["energy"] == 0
    assert last["forces"].shape == (0, 3)


def test_an_atom_that_the_force_field_does_not_know_is_refused(forces) -> None:
    model, _, members = forces
    graph = members["molecule"](4)
    graph.z[2] = 120
    with pytest.raises(InvalidInput, match=r"z\[2\] is 120"):
        testing.run(model, graph)


def test_neighbours_of_features_are_those_of_a_tree_within_each_cloud() -> None:
    from scipy.spatial import KDTree

    _, members = example("point_clouds.py:Served")
    sizes, k = [20, 3, 0, 40], 5
    ptr = torch.tensor([0, *np.cumsum(sizes)])
    x = torch.randn(sum(sizes), 4)
    found = {tuple(pair) for pair in members["nearest"](x, ptr, k).T.tolist()}
    expected: set[tuple[int, int]] = set()
    for first, size in zip(ptr.tolist(), sizes, strict=False):
        if size:
            part = x[first : first + size].numpy()
            _, near = KDTree(part).query(part, min(k, size))
            expected |= {(first + s, first + t) for t in range(size) for s in near[t].tolist()}
    assert found == expected


def test_a_cloud_is_answered_alike_among_many() -> None:
    kind, members = example("point_clouds.py:Served")
    testing.check_batching(kind, *(members["cloud"](points) for points in (1, 5, 80, 300, 20)))


def test_a_step_without_state_begins_with_zeros() -> None:
    kind, members = example("temporal.py:Served")
    graph, other = members["roads"](6), members["roads"](9)
    other.h = torch.randn(9, members["HIDDEN"])
    begun = graph.clone()
    begun.h = torch.zeros(6, members["HIDDEN"])
    first, _, same = testing.run(kind, graph, other, begun)
    np.testing.assert_allclose(first["h"], same["h"], atol=1e-7)
    assert np.abs(first["h"]).max() > 0
