"""A network is written as a file that answers as it does, whatever the size of a request."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.applications.gat.graphs import random_net
from typer.testing import CliRunner

from naiad.applications.gat.pipeline import Gat
from naiad.cli.main import app
from naiad.core.budget import Budget
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Tensor
from naiad.core.schema_json import SCHEMA_PARAMETER, read_schemas
from naiad.errors import EngineError, PipelineError, SchemaError
from naiad.triton.config import read_config, read_parameters
from naiad.triton.torch_export import dims_text, export_application, export_network, freeze

COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler g++")


class Mean(Pipeline):
    """The mean of each node's neighbours."""

    inputs = {
        "x__0": Tensor("float32", ("nodes", 3)),
        "edges__1": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {"mean__0": Tensor("float32", ("nodes", 3))}
    budget = Budget(nodes=100)


class MeanNet(torch.nn.Module):
    def forward(self, x, edges):
        total = torch.zeros_like(x).index_add(0, edges[1], x.index_select(0, edges[0]))
        ones = torch.ones_like(edges[1], dtype=x.dtype)
        return total / (1.0 + torch.zeros_like(x[:, 0]).index_add(0, edges[1], ones))[:, None]


class SizeBound(torch.nn.Module):
    def forward(self, x, edges):
        return x * len(x)


class Fails(torch.nn.Module):
    def forward(self, x, edges):
        return x + torch.zeros(len(x), 3)


class Twice(torch.nn.Module):
    def forward(self, x, edges):
        return x, x


class Broken(torch.nn.Module):
    def forward(self, x, edges):
        raise ValueError("no such thing")


def graph(nodes: int, edges: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(nodes)
    x = torch.randn(nodes, 3, generator=generator)
    return x, torch.randint(0, nodes, (2, edges), generator=generator)


class Centred(torch.nn.Module):
    def forward(self, x, edges):
        return x - x.mean()


SIZES = ((1, 0), (1, 5), (7, 3), (500, 4_000))


def load_script(path: Path) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(path)


@pytest.mark.parametrize(("nodes", "edges"), SIZES)
def test_a_traced_network_answers_at_any_size(tmp_path: Path, nodes: int, edges: int) -> None:
    freeze(MeanNet(), Mean, tmp_path / "model.pt", "torchscript")
    arguments = graph(nodes, edges)
    torch.testing.assert_close(
        load_script(tmp_path / "model.pt")(*arguments), MeanNet()(*arguments)
    )


@pytest.mark.slow
@COMPILER
def test_a_compiled_network_answers_at_any_size(tmp_path: Path) -> None:
    freeze(MeanNet(), Mean, tmp_path / "model.pt2", "pt2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        compiled = torch._inductor.aoti_load_package(str(tmp_path / "model.pt2"))
    for nodes, edges in SIZES:
        arguments = graph(nodes, edges)
        torch.testing.assert_close(compiled(*arguments), MeanNet()(*arguments))


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(PipelineError, match=r"needs a C\+\+ compiler.*or choose torchscript"):
        freeze(MeanNet(), Mean, tmp_path / "model.pt2", "pt2")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (SizeBound(), "mean__0 differs from the network's for inputs .* such as len"),
        (Fails(), "the file fails for inputs of other sizes"),
        (Twice(), "the network returns 2 tensors; mean has 1"),
        (Broken(), "Broken cannot be written as torchscript: no such thing"),
    ],
)
def test_a_network_that_would_answer_otherwise_is_refused(
    tmp_path: Path, network: torch.nn.Module, message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        export_network(network, Mean, tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_network_of_pytorch_geometric_can_be_traced(tmp_path: Path) -> None:
    from naiad.applications.gat.card import Architecture
    from naiad.applications.gat.train import PygGat

    network = PygGat(Architecture())
    network.load_state_dict(random_net().state_dict())
    export_network(network, Gat, tmp_path)
    x, edges = torch.randn(30, 1433), torch.randint(0, 30, (2, 90))
    with torch.no_grad():
        found = load_script(tmp_path / "gat_test" / "1" / "model.pt")(x, edges)
        torch.testing.assert_close(found, random_net()(x, edges), rtol=1e-4, atol=1e-5)


def test_text_cannot_be_taken(tmp_path: Path) -> None:
    class Text(Pipeline):
        inputs = {"text": Tensor("bytes", ("texts",))}
        outputs = {"length": Tensor("int64", ("texts",))}

    with pytest.raises(SchemaError, match="text is text or optional"):
        freeze(MeanNet(), Text, tmp_path / "model.pt", "torchscript")


def parameters_of(config: Any) -> dict[str, str]:
    """Return the parameters, without the schema, which must be that of the pipeline."""
    parameters = read_parameters(config)
    assert read_schemas(parameters.pop(SCHEMA_PARAMETER)) == (Mean.inputs, Mean.outputs)
    return parameters


def test_the_config_is_a_plain_one_with_the_dims_as_parameters(tmp_path: Path) -> None:
    path = export_network(MeanNet(), Mean, tmp_path, parameters={"notice": "for tests"})
    assert path == tmp_path / "mean"
    config = read_config(path / "config.pbtxt")
    assert (config.name, config.platform, config.backend) == ("mean", "pytorch_libtorch", "")
    assert config.max_batch_size == 0
    assert [(t.name, list(t.dims)) for t in config.input] == [
        ("x__0", [-1, 3]),
        ("edges__1", [2, -1]),
    ]
    assert parameters_of(config) == {
        "notice": "for tests",
        "naiad_format": "torchscript",
        "naiad_dims": "x__0: nodes, 3; edges__1: 2, edges -> nodes; mean__0: nodes, 3",
        "naiad_budget": "nodes=100",
    }
    plain = export_network(MeanNet(), Mean, tmp_path, batching=False)
    found = parameters_of(read_config(plain / "config.pbtxt"))
    assert found == {"naiad_format": "torchscript"}


def test_a_compiled_network_is_found_by_the_embedded_triton(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naiad.triton.torch_export.freeze", lambda *_, **__: None)  # takes long
    path = export_network(MeanNet(), Mean, tmp_path, "pt2")
    config = read_config(path / "config.pbtxt")
    assert (config.platform, config.backend) == ("", "pytorch")
    assert config.default_model_filename == "model.pt2"


def test_dims_name_what_each_row_points_into() -> None:
    class Bipartite(Pipeline):
        inputs = {
            "a": Tensor("float32", ("left", 2)),
            "b": Tensor("float32", ("right", 2)),
            "links": Tensor("int64", (2, "edges"), index_into=("left", "right")),
        }
        outputs = {"score": Tensor("float32", ("edges",))}

    assert dims_text(Bipartite) == (
        "a: left, 2; b: right, 2; links: 2, edges -> left, right; score: edges"
    )


def test_a_gpu_is_asked_for_in_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "naiad.triton.torch_export.freeze", lambda *_, **__: None
    )  # there is no GPU
    path = export_network(MeanNet(), Mean, tmp_path, device="cuda:1")
    (group,) = read_config(path / "config.pbtxt").instance_group
    assert (group.kind, list(group.gpus)) == (type(group).KIND_GPU, [1])


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mean").mkdir()
    (tmp_path / "mean" / "notes.txt").write_text("mine")
    with pytest.raises(EngineError, match="was not written by this command"):
        export_network(MeanNet(), Mean, tmp_path)
    assert (tmp_path / "mean" / "notes.txt").read_text() == "mine"


def test_an_application_whose_network_is_not_all_of_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"nugraph3 cannot be written as torchscript; .* gat can"):
        export_application("nugraph3", tmp_path, "torchscript")


def test_the_command_writes_a_plain_repository(tmp_path: Path) -> None:
    words = ["export", "gat", str(tmp_path), "--format", "torchscript"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "1/model.pt" in result.output
    parameters = read_parameters(read_config(tmp_path / "gat_test" / "config.pbtxt"))
    assert "synthetic citation graph" in parameters["notice"]
    assert parameters["naiad_dims"].startswith("x__0: nodes, 1433; edgeindex__1: 2, edges -> nodes")
    refused = CliRunner().invoke(app, [*words, "--instances", "2"])
    assert refused.exit_code == 2
    words = refused.output.replace("│", " ").split()
    assert "--instances: for --format pipeline only" in " ".join(words)


@pytest.mark.parametrize(
    ("network", "batching", "found"),
    [(MeanNet(), True, 0), (Centred(), True, 1), (Centred(), False, 0)],
    ids=["merges", "mixes", "alone"],
)
def test_a_network_whose_answers_depend_on_the_batch_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, network: Any, batching: bool, found: int
) -> None:
    export_network(network, Mean, tmp_path, batching=batching)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == found
    assert all("mean is served one request at a time" in text for text in told)
