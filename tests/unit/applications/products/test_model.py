"""The network is PyTorch Geometric's and the public example's, in plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.applications.products.shops import SMALL, random_graph, random_net

from naiad.applications.products.card import Architecture
from naiad.applications.products.graph import ProductGraph
from naiad.applications.products.model import SageNet
from naiad.applications.products.sampler import Sampler
from naiad.applications.products.train import every_layer

ALL = 10_000
"""A fan-out beyond any degree: nothing is left out."""


def pyg_layers(net: SageNet, graph: ProductGraph) -> list[torch.Tensor]:
    """What PyTorch Geometric's SAGEConv gives for the whole graph with the same parameters."""
    from torch_geometric.nn import SAGEConv

    x = torch.from_numpy(graph.features)
    target = np.repeat(np.arange(len(graph)), graph.degrees())
    edge_index = torch.from_numpy(np.stack([graph.indices.astype(np.int64), target]))
    answers = []
    for number, conv in enumerate(net.convs):
        twin = SAGEConv(conv.lin_l.in_features, conv.lin_l.out_features)
        twin.load_state_dict(conv.state_dict())  # names and shapes are the same
        x = twin(x, edge_index)
        if number < len(net.convs) - 1:
            x = x.relu()
        answers.append(x)
    return answers


def sampled(
    net: SageNet, graph: ProductGraph, nodes: np.ndarray, fanouts: tuple[int, ...], seed: int = 0
) -> list[torch.Tensor]:
    found = Sampler(graph.indptr, graph.indices, fanouts).sample(nodes, seed)
    rest = (found.node_hop, found.edge_index, found.edge_hop)
    return net(torch.from_numpy(graph.features[found.nodes]), *map(torch.from_numpy, rest))


@given(products=st.integers(1, 30), pairs=st.integers(0, 120), seed=st.integers(0, 100))
def test_it_answers_as_pytorch_geometric(products: int, pairs: int, seed: int) -> None:
    """With all neighbours; isolated products too, as product 0 is."""
    net, graph = random_net(seed=seed), random_graph(products, pairs, seed)
    nodes = np.random.default_rng(seed).permutation(products)[:8]
    with torch.inference_mode():
        expected = pyg_layers(net, graph)
        whole = every_layer(net, graph)
        found = sampled(net, graph, nodes, (ALL,) * 3)
    for layer in range(3):
        torch.testing.assert_close(whole[layer], expected[layer], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found[layer], expected[layer][nodes], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers", [2, 4])
def test_other_numbers_of_layers_work(layers: int) -> None:
    architecture = Architecture(SMALL.features, 6, 3, layers)
    net, graph = random_net(architecture), random_graph(40, 150)
    with torch.inference_mode():
        expected = pyg_layers(net, graph)
        found = sampled(net, graph, np.arange(5), (ALL,) * layers)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other[:5], rtol=1e-5, atol=1e-5)


def test_a_product_gets_the_same_answer_among_others() -> None:
    net, graph = random_net(), random_graph(300, 5_000)
    with torch.inference_mode():
        alone = sampled(net, graph, np.array([9]), (5, 4, 3), seed=8)
        among = sampled(net, graph, np.arange(100), (5, 4, 3), seed=8)
    for one, other in zip(alone, among, strict=True):
        torch.testing.assert_close(one[0], other[9], rtol=1e-5, atol=1e-5)
