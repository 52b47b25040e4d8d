"""The GAT pipeline: its hooks from request to reply."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.markdown import ROOT
from tests.unit.applications.gat.graphs import random_graph, random_net, run, save

from naiad.applications.gat.card import Architecture
from naiad.applications.gat.pipeline import Gat
from naiad.applications.gat.schema import CLASSES, FEATURES, INPUTS, OUTPUTS
from naiad.core.schema import validate
from naiad.errors import InvalidInput, WeightsError


@pytest.fixture(scope="module")
def pipeline() -> Gat:
    made = Gat()
    made.setup("cpu")
    return made


def test_the_wire_contract_is_the_public_examples() -> None:
    assert Gat.name == "gat_test"
    described = {
        name: (tensor.triton, tensor.config_dims) for name, tensor in {**INPUTS, **OUTPUTS}.items()
    }
    assert described == {
        "x__0": ("FP32", (-1, 1433)),
        "edgeindex__1": ("INT64", (2, -1)),
        "logits__0": ("FP32", (-1, 7)),
    }


@given(
    graphs=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=2, max_size=5),
    seed=st.integers(0, 100),
)
def test_merged_graphs_get_the_answers_they_get_alone(
    pipeline: Gat, graphs: list[tuple[int, int]], seed: int
) -> None:
    requests = [
        random_graph(nodes, edges if nodes else 0, seed + number)
        for number, (nodes, edges) in enumerate(graphs)
    ]
    for merged, request in zip(run(pipeline, *requests), requests, strict=True):
        alone = run(pipeline, request)[0]
        # Rounding errors scale with a sum's terms, so a small logit's scales with the largest.
        rounding = 1e-6 * float(np.abs(alone).max(initial=0.0))
        np.testing.assert_allclose(merged, alone, rtol=1e-4, atol=max(1e-5, rounding))


def test_the_example_is_answered(pipeline: Gat) -> None:
    example = dict(pipeline.example())
    (logits,) = run(pipeline, example)
    assert logits.shape == (len(example["x__0"]), CLASSES)
    assert np.isfinite(logits).all()


def damaged(name: str, at: tuple[int, int], value: float) -> dict[str, np.ndarray]:
    request = random_graph(5, 6)
    request[name][at] = value
    return request


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            random_graph(5, 6) | {"x__0": np.zeros((5, 1434), np.float32)},
            "x__0 has shape [5, 1434]; it must be [nodes, 1433]",
        ),
        (
            damaged("edgeindex__1", (1, 3), 5),
            "edgeindex__1[1, 3] is 5; it must be 0 to 4: there are 5 nodes",
        ),
        (
            damaged("edgeindex__1", (0, 2), -1),
            "edgeindex__1[0, 2] is -1; it must be 0 to 4: there are 5 nodes",
        ),
        (damaged("x__0", (2, 7), np.nan), "x__0[2, 7] is nan; it must be finite"),
        (damaged("x__0", (2, 7), np.inf), "x__0[2, 7] is inf; it must be finite"),
        (
            {"x__0": np.zeros((0, FEATURES), np.float32), "edgeindex__1": np.zeros((2, 1), int)},
            "edgeindex__1[0, 0] is 0; it must be absent: no nodes",
        ),
        (
            random_graph(5, 6) | {"edgeindex__1": np.zeros((2, 6), np.int32)},
            "edgeindex__1 is int32; it must be int64",
        ),
    ],
)
def test_a_bad_graph_is_refused_with_the_reason(
    request_: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        validate(INPUTS, request_)
    assert str(caught.value) == message
    if "inf;" not in message and "int32" not in message:
        assert f"| `{message}` |" in (ROOT / "docs" / "gat.md").read_text("utf-8")


def test_the_shipped_weights_have_their_metadata() -> None:
    facts = Gat().metadata()
    assert facts["trained_on"] == "a synthetic citation graph"
    assert "trained on a synthetic citation graph" in facts["notice"]
    assert all("synthetic" in name for name in facts["classes"].split(","))


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    architecture = Architecture(features=100)
    net = random_net(architecture)
    folder = save(tmp_path / "w", net, architecture=architecture)
    with pytest.raises(WeightsError, match="100 features; gat_test needs 1433"):
        Gat(folder).metadata()


def test_other_weights_give_other_answers(tmp_path: Path, pipeline: Gat) -> None:
    other = Gat(save(tmp_path / "w"))
    other.setup("cpu")
    request = random_graph(5, 6)
    assert not np.allclose(run(other, request)[0], run(pipeline, request)[0])
    assert other.metadata()["notice"] == "for tests"


@pytest.mark.slow
def test_neither_the_front_nor_the_pipeline_need_pytorch_geometric(tmp_path: Path) -> None:
    code = (
        "import sys; from naiad.applications.gat.pipeline import Gat; p = Gat(); p.metadata(); "
        "p.example(); assert 'torch' not in sys.modules; p.setup('cpu'); "
        "assert 'torch' in sys.modules and 'torch_geometric' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_runs_on_the_device_it_is_told(tmp_path: Path) -> None:
    made = Gat(save(tmp_path / "w"))
    made.setup("meta")
    assert made._model is not None
    assert {p.device for p in made._model.parameters()} == {torch.device("meta")}
