"""The network is PyTorch Geometric's, in plain torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.applications.gat.graphs import random_net

from naiad.applications.gat.card import Architecture
from naiad.applications.gat.model import GatNet

SMALL = Architecture(features=5, hidden=3, heads=2, classes=4, out_heads=2)


def pyg(net: GatNet, architecture: Architecture) -> torch.nn.Module:
    from naiad.applications.gat.train import PygGat

    twin = PygGat(architecture)
    twin.load_state_dict(net.state_dict())  # names and shapes are the same
    return twin.eval()


def graph(nodes: int, edges: int, seed: int, features: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(nodes, features, generator=generator)
    return x, torch.randint(0, nodes, (2, edges), generator=generator)


@pytest.mark.parametrize("architecture", [SMALL, Architecture()], ids=["small", "cora"])
@pytest.mark.parametrize(("nodes", "edges"), [(1, 0), (1, 3), (2, 40), (50, 20), (300, 2_000)])
def test_it_answers_as_pytorch_geometric(
    architecture: Architecture, nodes: int, edges: int
) -> None:
    net = random_net(architecture)
    x, edge_index = graph(nodes, edges, 1, architecture.features)
    with torch.inference_mode():
        expected = pyg(net, architecture)(x, edge_index)
        found = net(x, edge_index)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@given(nodes=st.integers(1, 12), edges=st.integers(0, 40), seed=st.integers(0, 1_000))
def test_it_answers_as_pytorch_geometric_with_loops_and_repeated_edges(
    nodes: int, edges: int, seed: int
) -> None:
    net = random_net(SMALL, seed)
    x, edge_index = graph(nodes, edges, seed, SMALL.features)
    with torch.inference_mode():
        expected = pyg(net, SMALL)(10 * x, edge_index)
        torch.testing.assert_close(net(10 * x, edge_index), expected, rtol=1e-5, atol=1e-5)


def test_a_node_without_edges_sees_only_itself() -> None:
    net = random_net(SMALL)
    x, edge_index = graph(6, 10, 0, SMALL.features)
    alone = edge_index.clamp(max=4)
    with torch.inference_mode():
        among = net(x, alone)[5]
        by_itself = net(x[5:], torch.empty(2, 0, dtype=torch.int64))[0]
    torch.testing.assert_close(among, by_itself)


def test_large_scores_do_not_overflow() -> None:
    net = random_net(SMALL)
    x, edge_index = graph(6, 30, 0, SMALL.features)
    with torch.inference_mode():
        assert net(1e6 * x, edge_index).isfinite().all()


def test_an_empty_graph_is_answered() -> None:
    with torch.inference_mode():
        found = random_net(SMALL)(torch.empty(0, 5), torch.empty(2, 0, dtype=torch.int64))
    assert found.shape == (0, 4)
