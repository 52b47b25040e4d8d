"""Unmodified PyTorch Geometric networks as pipelines."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.nn import (
    GCN,
    BatchNorm,
    GATConv,
    GINConv,
    GraphNorm,
    HeteroConv,
    InstanceNorm,
    LayerNorm,
    PairNorm,
    SAGEConv,
    global_add_pool,
    global_mean_pool,
    to_hetero,
)

import naiad
from naiad import Tensor, testing
from naiad.client.graphs import arrays_of, of_model
from naiad.core.pipeline import make_pipeline
from naiad.errors import InvalidInput, SchemaError, WeightsError
from naiad.geometric.attributes import graph_type
from naiad.runtime.mixing import mixes
from naiad.runtime.runner import Runner

ATOMS, BONDS = 7, 3


def molecule(nodes: int = 9, seed: int = 0) -> Data:
    """A chain of atoms with a few more bonds."""
    rng = torch.Generator().manual_seed(seed)
    source = torch.arange(nodes - 1)
    more = torch.randint(nodes, (2, nodes // 3), generator=rng)
    edges = torch.cat([torch.stack([source, source + 1]), more], 1)
    return Data(
        x=torch.randn(nodes, ATOMS, generator=rng),
        edge_index=torch.cat([edges, edges.flip(0)], 1),
        edge_attr=torch.randn(2 * edges.shape[1], BONDS, generator=rng),
        y=torch.tensor([1.0]),
        train_mask=torch.ones(nodes, dtype=torch.bool),
    )


class MolNet(nn.Module):
    """A graph isomorphism network with an answer for each graph."""

    def __init__(self, hidden: int = 16, classes: int = 3) -> None:
        super().__init__()
        self.first = GINConv(nn.Sequential(nn.Linear(ATOMS, hidden), nn.ReLU()))
        self.second = GINConv(nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()))
        self.head = nn.Linear(hidden, classes)

    def forward(self, data: Data) -> torch.Tensor:
        x = self.second(self.first(data.x, data.edge_index), data.edge_index)
        return self.head(global_add_pool(x, data.batch, size=data.num_graphs))


class NodeNet(nn.Module):
    """Scores and a vector of each node, by parameters' names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = GATConv(ATOMS, 8, edge_dim=BONDS)
        self.head = nn.Linear(8, 2)

    def forward(self, x, edge_index, edge_attr, batch=None):
        hidden = self.conv(x, edge_index, edge_attr)
        return {"scores": self.head(hidden), "graph": global_mean_pool(hidden, batch)}


class Links(nn.Module):
    """A score for each pair of nodes that is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = SAGEConv(ATOMS, 8)

    def forward(self, x, edge_index, edge_label_index):
        z = self.conv(x, edge_index)
        return (z[edge_label_index[0]] * z[edge_label_index[1]]).sum(-1)


def library(papers: int = 6, authors: int = 4, seed: int = 0) -> HeteroData:
    """Papers, authors, and who wrote which."""
    rng = torch.Generator().manual_seed(seed)
    data = HeteroData()
    data["paper"].x = torch.randn(papers, 5, generator=rng)
    data["author"].x = torch.randn(authors, 3, generator=rng)
    pairs = torch.stack(
        [
            torch.randint(authors, (11,), generator=rng),
            torch.randint(papers, (11,), generator=rng),
        ]
    )
    data["author", "writes", "paper"].edge_index = pairs
    data["paper", "rev_writes", "author"].edge_index = pairs.flip(0)
    return data


class Library(nn.Module):
    """Scores of papers and of authors."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = HeteroConv(
            {
                ("author", "writes", "paper"): SAGEConv((3, 5), 4),
                ("paper", "rev_writes", "author"): SAGEConv((5, 3), 4),
            }
        )

    def forward(self, x_dict, edge_index_dict):
        return self.conv(x_dict, edge_index_dict)


def answers(served, *graphs):
    arrays = [served.findings.call.graphs.arrays(graph) for graph in graphs]
    return testing.run(served, *arrays)


def test_a_network_that_takes_data_answers_as_pytorch_geometric_does() -> None:
    torch.manual_seed(3)
    net = MolNet().eval()
    served = naiad.pyg(net, example=molecule())
    assert served.name == "mol_net"
    assert served.inputs == {
        "x": Tensor("float32", ("nodes", ATOMS)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    assert served.outputs == {"output": Tensor("float32", ("requests", 3), finite=False)}
    graphs = [molecule(n, n) for n in (9, 4, 30)]
    for graph, found in zip(graphs, answers(served, *graphs), strict=True):
        graph.num_graphs = 1
        graph.batch = torch.zeros(graph.num_nodes, dtype=torch.int64)
        expected = net(graph).detach().numpy()
        np.testing.assert_allclose(found["output"], expected, atol=1e-6)


def test_parameters_take_attributes_by_name() -> None:
    served = naiad.pyg(NodeNet, example=molecule())
    assert [*served.inputs] == ["x", "edge_index", "edge_attr"]
    assert served.outputs["scores"].dims == ("nodes", 2)
    assert served.outputs["graph"].dims == ("requests", 8)
    testing.check_batching(served, {"nodes": 4, "edges": 9}, {"nodes": 1, "edges": 0})


def test_pairs_of_nodes_are_a_dimension_of_their_own() -> None:
    graph = molecule()
    graph.edge_label_index = torch.tensor([[0, 1, 2, 2], [3, 4, 5, 0]])
    served = naiad.pyg(Links, example=graph)
    assert served.inputs["edge_label_index"].dims == (2, "edge_label")
    assert served.inputs["edge_label_index"].index_into == "nodes"
    assert served.outputs["output"].dims == ("edge_label",)


@pytest.mark.parametrize("form", ["dictionaries", "to_hetero"])
def test_types_of_nodes_and_edges_have_inputs_of_their_own(form: str) -> None:
    graph = library()
    net = Library() if form == "dictionaries" else to_hetero(Homogeneous(), graph.metadata())
    net.eval()
    with torch.no_grad():
        net(graph.x_dict, graph.edge_index_dict)  # lazy layers
    served = naiad.pyg(net, example=graph)
    assert served.inputs["author__writes__paper__edge_index"] == Tensor(
        "int64", (2, "author__writes__paper"), index_into=("author", "paper")
    )
    assert served.outputs["paper"].dims == ("paper", 4)
    graphs = [library(), library(3, 9, 1)]
    for one, found in zip(graphs, answers(served, *graphs), strict=True):
        expected = net(one.x_dict, one.edge_index_dict)
        for kind in ("paper", "author"):
            np.testing.assert_allclose(found[kind], expected[kind].detach(), atol=1e-6)


class Homogeneous(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = SAGEConv((-1, -1), 4)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


class Bipartite(Data):
    """Two kinds of nodes without types, as PyTorch Geometric's tutorial has it."""

    def __inc__(self, key, value, *args, **kwargs):
        if key == "edge_index":
            return torch.tensor([[self.x_s.size(0)], [self.x_t.size(0)]])
        return super().__inc__(key, value, *args, **kwargs)


def test_a_subclass_says_how_its_indices_grow() -> None:
    graph = Bipartite(
        x_s=torch.randn(5, 2), x_t=torch.randn(3, 2), edge_index=torch.tensor([[0, 4], [2, 1]])
    )
    found = graph_type(graph)
    assert found.inputs["edge_index"].index_into == ("x_s", "x_t")


class Mixing(nn.Module):
    """One layer that may mix the nodes of all graphs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.first, self.layer = nn.Linear(ATOMS, 8), layer

    def forward(self, x, edge_index):
        return self.layer(self.first(x)) + 0 * edge_index.sum()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x[None], x[None], x[None])[0][0]


@pytest.mark.parametrize(
    "layer",
    [LayerNorm(8), PairNorm(), InstanceNorm(8), GraphNorm(8)],
    ids=lambda one: type(one).__name__,
)
def test_normalisations_are_given_the_graph_of_each_node(layer: nn.Module) -> None:
    net = Mixing(layer).eval()
    served = naiad.pyg(net, example=molecule())
    assert served.findings.gives_batch
    assert served.budget["requests"] > 1
    graphs = [molecule(n, n) for n in (9, 4, 30)]
    for graph, found in zip(graphs, answers(served, *graphs), strict=True):
        expected = net(graph.x, graph.edge_index).detach().numpy()
        np.testing.assert_allclose(found["output"], expected, atol=2e-5)


def test_global_attention_is_served_one_request_at_a_time(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        served = naiad.pyg(Mixing(Attention()), example=molecule())
    assert not served.merges
    assert "one request at a time: its answer for a graph depends" in caplog.text


@pytest.mark.parametrize(
    "layer", [BatchNorm(8), LayerNorm(8, mode="node")], ids=["BatchNorm", "LayerNorm of nodes"]
)
def test_layers_that_mix_nothing_are_left_alone(layer: nn.Module) -> None:
    served = naiad.pyg(Mixing(layer), example=molecule())
    assert not served.findings.gives_batch
    assert not served.findings.mixes


class Pooled(nn.Module):
    def forward(self, x, edge_index, batch):
        return global_mean_pool(x, batch)


def test_pooling_that_misses_an_empty_last_graph_is_said(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        naiad.pyg(Pooled, example=molecule())
    assert "Pooled: output has no row for a graph without nodes" in caplog.text


def test_weights_and_settings_are_those_of_the_network(tmp_path: Path) -> None:
    net = MolNet(hidden=24)
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in net.state_dict().items()}}, tmp_path / "w.ckpt"
    )
    served = naiad.pyg(
        MolNet, example=molecule(), settings={"hidden": 24}, weights=tmp_path / "w.ckpt"
    )
    assert served.settings.hidden == 24
    [found] = answers(served, molecule())
    graph = molecule()
    graph.num_graphs, graph.batch = 1, torch.zeros(9, dtype=torch.int64)
    np.testing.assert_allclose(found["output"], net(graph).detach(), atol=1e-6)
    other = naiad.pyg(MolNet, example=molecule(), weights=tmp_path / "w.ckpt")
    with pytest.raises(WeightsError, match="size mismatch"):
        testing.load(other)


def lightning(path: Path, net: nn.Module, **hyper_parameters: object) -> Path:
    """Write a checkpoint in the layout of PyTorch Lightning."""
    state = {f"model.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "hyper_parameters": hyper_parameters}, path)
    return path


def test_hyper_parameters_of_a_checkpoint_are_settings(tmp_path: Path, caplog) -> None:
    net = MolNet(hidden=24, classes=5)
    path = lightning(tmp_path / "w.ckpt", net, hidden=24, classes=5, lr=0.1)
    served = naiad.pyg(MolNet, example=molecule(), weights=path)
    assert served.outputs["output"].dims == ("requests", 5)
    with caplog.at_level(logging.WARNING):
        [found] = answers(served, molecule())
    assert "no arguments of MolNet are left out: lr" in caplog.text
    graph = molecule()
    graph.num_graphs, graph.batch = 1, torch.zeros(9, dtype=torch.int64)
    np.testing.assert_allclose(found["output"], net(graph).detach(), atol=1e-6)


def test_hyper_parameters_of_weights_that_are_given_later_are_taken(tmp_path: Path) -> None:
    path = lightning(tmp_path / "w.ckpt", MolNet(hidden=24), hidden=24)
    served = naiad.pyg(MolNet, example=molecule())
    made = make_pipeline(served, path)
    assert made.settings.hidden == 24
    made.setup("cpu")
    assert make_pipeline(served, path, {"hidden": "40"}).settings.hidden == 40
    explicit = naiad.pyg(MolNet, example=molecule(), settings={"hidden": 48}, weights=path)
    assert explicit.settings.hidden == make_pipeline(explicit).settings.hidden == 48


@pytest.mark.parametrize("value", ["24", 2.5, True, None])
def test_a_hyper_parameter_of_another_type_is_refused(tmp_path: Path, value: object) -> None:
    path = lightning(tmp_path / "w.ckpt", MolNet(), hidden=value)
    with pytest.raises(WeightsError, match=f"hidden is {value!r}; it must be a whole number"):
        naiad.pyg(MolNet, example=molecule(), weights=path)


def test_a_module_among_the_hyper_parameters_is_refused_unread(tmp_path: Path) -> None:
    path = lightning(tmp_path / "w.ckpt", MolNet(), model=MolNet())
    with pytest.raises(WeightsError, match=r"asks for .*MolNet.*nothing in it was run; save it"):
        naiad.pyg(MolNet, example=molecule(), weights=path)


def test_another_pickle_protocol_is_refused_with_the_one_that_is_read(tmp_path: Path) -> None:
    torch.save(MolNet().state_dict(), tmp_path / "w.pt", pickle_protocol=4)
    with pytest.raises(WeightsError, match=r"pickle protocol 4; only 2, .*; save it with"):
        naiad.pyg(MolNet, example=molecule(), weights=tmp_path / "w.pt")


class Needing(nn.Module):
    """A network whose argument has no default."""

    def __init__(self, classes: int, widths: list[int] | None = None) -> None:
        super().__init__()
        self.conv = SAGEConv(ATOMS, classes)
        self.widths = widths

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


def test_an_exported_model_is_made_with_the_same_hyper_parameters(tmp_path: Path) -> None:
    (tmp_path / "hyper_net.py").write_text(
        "from tests.unit.geometric.test_pyg import Needing, molecule\n"
        "import naiad\n\n"
        "Served = naiad.pyg(Needing, example=molecule(), weights='w.ckpt')\n"
    )
    lightning(tmp_path / "w.ckpt", Needing(5), classes=5, widths=[1, 2])
    torch.save(molecule(), tmp_path / "molecule.pt")
    own = naiad.export(f"{tmp_path}/hyper_net.py:Served", tmp_path / "own")
    typed = naiad.export(
        f"{tmp_path}/hyper_net.py:Needing",
        tmp_path / "typed",
        example=tmp_path / "molecule.pt",
        weights=tmp_path / "w.ckpt",
    )
    (tmp_path / "w.ckpt").unlink()
    for model in (own, typed):
        made: Any = model.pipeline()
        assert made.outputs["output"].dims == ("nodes", 5)
        made.setup("cpu")
        assert made._module.widths == [1, 2]


class Forces(nn.Module):
    """Energy of a graph and the force on each of its nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))

    def forward(self, pos, batch):
        pos = pos.requires_grad_()
        energy = global_add_pool(self.net(pos), batch, size=int(batch.max()) + 1)
        (slope,) = torch.autograd.grad(energy.sum(), pos)
        return {"energy": energy, "force": -slope}


def test_gradients_are_computed_where_the_network_needs_them() -> None:
    served = naiad.pyg(Forces, example=Data(pos=torch.randn(5, 3)))
    assert served.outputs["force"].dims == ("nodes", 3)
    testing.check_batching(served, {"nodes": 4}, {"nodes": 7})


def test_a_file_may_be_the_example(tmp_path: Path) -> None:
    torch.save(molecule(), tmp_path / "molecule.pt")
    assert naiad.pyg(MolNet, example=tmp_path / "molecule.pt").name == "mol_net"
    torch.save(library(), tmp_path / "library.pt")
    assert "paper__x" in naiad.pyg(Library, example=tmp_path / "library.pt").inputs


def test_a_whole_model_of_pytorch_geometric_is_served() -> None:
    served = naiad.pyg(GCN(ATOMS, 8, 2, out_channels=3), example=molecule(), name="gcn")
    assert served.name == "gcn"
    assert served.outputs["output"].dims == ("nodes", 3)


@pytest.mark.parametrize(
    ("network", "graph", "message"),
    [
        (NodeNet, Data(x=torch.ones(3, ATOMS), edge_index=torch.zeros(2, 2, dtype=torch.int64)),
         "NodeNet: forward.. takes edge_attr, which the example does not have; it has x"),
        (MolNet, Data(edge_index=torch.zeros(2, 2, dtype=torch.int64), num_nodes=3),
         "edge_index has positions of nodes, but no attribute has a row for each"),
        (MolNet, {"x": 3}, "the example is a dict"),
        (lambda hidden: MolNet(hidden), molecule(), "needs hidden: give settings"),
    ],
)  # fmt: skip
def test_errors_say_what_is_missing(network, graph, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        naiad.pyg(network, example=graph)


def test_an_index_beyond_the_graph_is_refused() -> None:
    served = naiad.pyg(MolNet, example=molecule())
    graph = molecule()
    graph.edge_index[0, 0] = 99
    with pytest.raises(InvalidInput, match=r"edge_index\[0, 0\] is 99"):
        answers(served, graph)


class Volume(nn.Module):
    """Volume of a unit cell, which PyTorch Geometric stacks along its first dimension."""

    def forward(self, data: Data) -> torch.Tensor:
        return data.cell.view(-1, 3, 3).det() + 0 * data.x.sum()


def test_an_attribute_of_fixed_size_must_have_a_row_for_each_graph() -> None:
    graph = molecule()
    graph.cell = torch.eye(3)
    message = r"other numbers of rows of cell: .+ as in data.cell = data.cell\[None\]"
    with pytest.raises(SchemaError, match=message):
        naiad.pyg(Volume, example=graph)
    graph.cell = graph.cell[None]
    served = naiad.pyg(Volume, example=graph)
    assert served.inputs["cell"].dims == ("requests", 3, 3)
    assert served.outputs["output"].dims == ("requests",)


def test_random_numbers_go_on_as_without_naiad() -> None:
    net, graph = MolNet(), molecule()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    naiad.pyg(net, example=graph)
    torch.testing.assert_close(torch.rand(3), expected)


@pytest.mark.parametrize("features", ["random", "zeros", "ones"])
@pytest.mark.parametrize("nodes", [9, 3000])
@pytest.mark.parametrize("layer", [LayerNorm(8), PairNorm(), InstanceNorm(8), GraphNorm(8)])
def test_mixing_is_found_with_any_example(layer: nn.Module, nodes: int, features: str) -> None:
    graph = molecule(nodes)
    if features != "random":
        graph.x = torch.full((nodes, ATOMS), float(features == "ones"))
    assert naiad.pyg(Mixing(layer), example=graph).findings.gives_batch


def test_attention_is_found_with_an_example_of_ones() -> None:
    graph = molecule(1000)
    graph.x = torch.ones(1000, ATOMS)
    assert naiad.pyg(Mixing(Attention()), example=graph).merges is False


class Gated(nn.Module):
    """Attention that an untrained network does not have yet."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.gate = Attention(), nn.Parameter(torch.zeros(()))
        self.first = nn.Linear(ATOMS, 8)

    def forward(self, x):
        hidden = self.first(x)
        return hidden + self.gate * self.attention(hidden)


def test_mixing_is_looked_for_with_the_weights_too(tmp_path: Path) -> None:
    net = Gated()
    net.gate.data.fill_(1)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    served = naiad.pyg(Gated, example=molecule(), weights=tmp_path / "w.pt")
    assert served.merges is None
    assert mixes(Runner(make_pipeline(served, tmp_path / "w.pt")))


class Weighted(nn.Module):
    def forward(self, data):
        weight = 1 if data.edge_weight is None else data.edge_weight[:, None]
        return global_add_pool(data.x, data.batch) * (data.edge_attr * weight).sum()


def test_weights_that_are_all_one_are_an_input() -> None:
    graph = molecule()
    graph.edge_weight = torch.ones(graph.num_edges)
    assert "edge_weight" in naiad.pyg(Weighted, example=graph).inputs


class SharedNorm(nn.Module):
    """One layer for the nodes of all types."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = LayerNorm(3)

    def forward(self, x_dict):
        return {kind: self.norm(x) for kind, x in x_dict.items()}


def test_a_layer_is_given_the_graphs_of_its_own_nodes() -> None:
    def graph(left: int, right: int) -> HeteroData:
        data = HeteroData()
        data["left"].x, data["right"].x = torch.randn(left, 3), torch.randn(right, 3)
        return data

    net = SharedNorm().eval()
    served = naiad.pyg(net, example=graph(4, 6))
    graphs = [graph(2, 5), graph(6, 3)]  # together 8 and 8
    for one, found in zip(graphs, answers(served, *graphs), strict=True):
        for kind, expected in net(one.x_dict).items():
            np.testing.assert_allclose(found[kind], expected.detach(), atol=2e-5)


class ExtraDimension(nn.Module):
    def forward(self, x, batch, batch_size):
        return global_add_pool(x, batch, size=batch_size)[None]


class Squeezed(nn.Module):
    def forward(self, x, batch, batch_size):
        return global_add_pool(x, batch, size=batch_size).sum(-1).squeeze()


@pytest.mark.parametrize(
    ("network", "dims", "shape"),
    [(ExtraDimension, (1, "requests", ATOMS), (1, 1, ATOMS)), (Squeezed, ("requests",), (1,))],
)
@pytest.mark.parametrize("sizes", [(5,), (5, 9)])
def test_rows_of_graphs_are_found_wherever_they_are(network, dims, shape, sizes) -> None:
    served = naiad.pyg(network, example=molecule())
    assert served.outputs["output"].dims == dims
    graphs = [molecule(n, n) for n in sizes]
    for graph, found in zip(graphs, answers(served, *graphs), strict=True):
        expected = network()(graph.x, torch.zeros(graph.num_nodes, dtype=torch.int64), 1)
        np.testing.assert_allclose(found["output"], expected.reshape(shape), rtol=1e-5)


def test_a_module_stays_in_training_and_without_hooks() -> None:
    net = Mixing(GraphNorm(8)).train()
    assert naiad.pyg(net, example=molecule()).findings.gives_batch
    assert net.training
    assert net.layer.training
    assert not net.layer._forward_pre_hooks


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_the_network_within_a_wrapper_is_served(wrap) -> None:
    served = naiad.pyg(wrap(MolNet()), example=molecule())
    assert served.name == "mol_net"
    assert [*served.inputs] == ["x", "edge_index"]


class Random(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x)


def test_answers_that_are_random_are_said_to_be(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        naiad.pyg(Random, example=molecule())
    assert "its answers are random, as those of torch.nn.functional.dropout" in caplog.text


class Worded(nn.Module):
    def forward(self, data):
        return data.x if data.colour == "red" else -data.x


class Sparse(nn.Module):
    def forward(self, x, adj_t):
        return adj_t @ x


class Broken(nn.Module):
    def forward(self, x):
        return x @ torch.ones(2, 2)


class Halves(nn.Module):
    def forward(self, x):
        return x.bfloat16()


@pytest.mark.parametrize(
    ("network", "changes", "arguments", "message"),
    [
        (Worded, {"colour": "red"}, {}, "test_pyg.py:.*; colour is a str, which cannot be sent"),
        (Sparse, {"adj_t": torch.eye(9).to_sparse()}, {},
         "takes adj_t, .*; adj_t is a sparse tensor, which cannot be sent: give .* edge_index"),
        (Broken, {}, {}, "Broken: it fails for the example: .*test_pyg.py:.*RuntimeError: mat1"),
        (Halves, {}, {}, "output is bfloat16, which cannot be sent"),
        (MolNet, {"x": torch.ones(0, ATOMS)}, {}, r"x of the example has shape \[0, 7\]"),
        (MolNet, {"edge_index": torch.tensor([[0], [9]])}, {},
         r"the example: edge_index\[1, 0\] is 9; it must be 0 to 8"),
        (MolNet, {}, {"settings": {"hidden": "x"}}, r"MolNet\(hidden='x', .*\) fails: .*TypeError"),
        (MolNet, {}, {"outputs": {"scores": Tensor("float32", ("requests", 3))}},
         "outputs declares scores; the network returns output"),
        (MolNet, {}, {"outputs": {"output": Tensor("float32", ("requests", 4))}},
         r"it has shape \[1, 3\] for a graph of 9 nodes"),
        (MolNet, {}, {"inputs": {"x": Tensor("float32", ("atoms", ATOMS))}}, "it has .'nodes', 7"),
        (MolNet, {}, {"name": "my net/.."}, "name is 'my net/..'; it must consist of letters"),
        (Broken, {}, {"settings": {"hidden": 3}}, "Broken takes no hidden; it takes nothing"),
        (dict, {}, {}, "the network is <class 'dict'>; it must be a torch.nn.Module"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(network, changes, arguments, message: str) -> None:
    graph = molecule()
    for key, value in changes.items():
        graph[key] = value
    with pytest.raises(SchemaError, match=message):
        naiad.pyg(network, example=graph, **arguments)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ([molecule(), molecule()], "a list; it must be one .* such as the first"),
        (Batch.from_data_list([molecule(), molecule()]), r"a Batch of 2 graphs; .* batch\[0\]"),
    ],
)
def test_one_graph_is_the_example(example, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        naiad.pyg(MolNet, example=example)


def test_a_batch_of_several_graphs_is_not_sent_as_one() -> None:
    batch = Batch.from_data_list([molecule(), molecule(5)])
    with pytest.raises(InvalidInput, match="a batch of 2 graphs; send each"):
        of_model(arrays_of(batch), ["x", "edge_index"], "mol_net")
    with pytest.warns(UserWarning, match='model "own" does not take edge_index') as said:
        assert "batch" in of_model(arrays_of(batch), ["x", "batch"], "own")
    assert said[0].filename == __file__
    of_model(arrays_of(batch), ["x", "batch"], "own")  # said once, whatever line asks
