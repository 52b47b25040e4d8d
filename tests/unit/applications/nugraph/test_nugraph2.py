"""NuGraph2: its checkpoints are imported, its pipeline answers, and it is trained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.applications.nugraph.graphs import Arrays, assert_close, event
from typer.testing import CliRunner

from naiad.applications import nugraph
from naiad.applications.nugraph import native_library
from naiad.applications.nugraph.card import (
    NuGraph2Architecture,
    NuGraph2Card,
    NuGraph3Card,
    read_any_card,
    read_card_of,
)
from naiad.applications.nugraph.dataset import prepare_graph
from naiad.applications.nugraph.events import write_events
from naiad.applications.nugraph.labels import (
    BACKGROUND,
    NUGRAPH2_CLASS_OF,
    NUGRAPH2_CLASSES,
    SEMANTIC_CLASSES,
    as_classes,
)
from naiad.applications.nugraph.nugraph2_model import NuGraph2Net
from naiad.applications.nugraph.nugraph2_pipeline import NuGraph2, NuGraph2Cpu
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.applications.nugraph.report import training_lines
from naiad.applications.nugraph.schema import INPUTS, NUGRAPH2_OUTPUTS, PLANES, SAMPLE
from naiad.applications.nugraph.simulate import simulate
from naiad.applications.nugraph.task import NuGraph2Task
from naiad.applications.nugraph.train import NUGRAPH2, evaluate, relabelled, train
from naiad.applications.nugraph.weights import import_checkpoint, load_nugraph2, save_weights
from naiad.applications.training import METRICS_FILE
from naiad.cli.main import app
from naiad.core.merging import collate, split
from naiad.core.pipeline import Request
from naiad.core.schema import measure, validate
from naiad.errors import WeightsError

DATA = Path(nugraph.__file__).parent / "data"
NOTICE = "trained on simulated events, not for physics"
TINY = NuGraph2Architecture(planar_features=8, nexus_features=4, num_iters=2)
HYPER_PARAMETERS = {
    "in_features": 4,
    "planar_features": 8,
    "nexus_features": 4,
    "planes": ["u", "v", "y"],
    "semantic_classes": list(NUGRAPH2_CLASSES),
    "num_iters": 2,
    "semantic_head": True,
    "filter_head": True,
}


def tiny(architecture: NuGraph2Architecture = TINY) -> NuGraph2Net:
    torch.manual_seed(3)
    return NuGraph2Net(architecture)


def checkpoint(path: Path, state: dict[str, torch.Tensor] | None = None, **changes: Any) -> Path:
    temps = {f"{head}_decoder.temp": torch.zeros(()) for head in ("semantic", "filter")}
    content = {
        "epoch": 7,
        "pytorch-lightning_version": "2.0.0",
        "state_dict": {**temps, **(tiny().state_dict() if state is None else state)},
        "hyper_parameters": {**HYPER_PARAMETERS, **changes},
    }
    torch.save(content, path)
    return path


def save(folder: Path, architecture: NuGraph2Architecture = TINY) -> Path:
    card = NuGraph2Card(
        architecture=architecture,
        semantic_classes=tuple(f"s{i}" for i in range(architecture.semantic_classes)),
        mean=dict.fromkeys("uvy", (400.0, 170.0, 150.0, 4.5)),
        std=dict.fromkeys("uvy", (200.0, 80.0, 200.0, 2.0)),
        notice="for tests",
    )
    save_weights(tiny(architecture), card, folder)
    return folder


def run(pipeline: NuGraph2, *events: Arrays, **parameters: Any) -> list[Arrays]:
    """Call all hooks as the runtime does."""
    requests = [Request(e, validate(INPUTS, e), parameters=parameters) for e in events]
    samples = [pipeline.prepare(request) for request in requests]
    batch = collate(SAMPLE, samples, [measure(SAMPLE, sample) for sample in samples])
    result = {k: np.asarray(v) for k, v in pipeline.forward(batch).items()}
    sizes = {dim: batch.sizes(dim) for tensor in SAMPLE.values() for dim in tensor.names}
    return list(split(NUGRAPH2_OUTPUTS, result, sizes, batch.requests))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> NuGraph2:
    made = NuGraph2(save(tmp_path_factory.mktemp("weights")))
    made.setup("cpu")
    return made


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_a_real_event_is_answered_as_by_the_original(
    shared_data: Path, tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with np.load(shared_data / "nugraph2" / "golden_small.npz") as file:
        reference = dict(file)
    import_checkpoint(shared_data / "nugraph2" / "random.ckpt", tmp_path / "w")
    if device == "torch":
        without_library(monkeypatch, tmp_path)
    pipeline = NuGraph2(tmp_path / "w")
    pipeline.setup("cpu")
    real = {name: reference[name] for name in INPUTS}
    _, answer, _ = run(pipeline, pipeline.example(), real, event((3, 0, 1), 2))
    assert answer.pop("unknown_hits").tolist() == [0]
    assert_close(answer, {name: reference[name] for name in answer})


def without_library(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(native_library, "LIBRARY", folder / "none.so")
    native_library.library.cache_clear()


def test_without_the_library_torch_answers(
    pipeline: NuGraph2,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (expected,) = run(pipeline, event())
    without_library(monkeypatch, tmp_path)
    other = NuGraph2(pipeline.weights_path)
    other.setup("cpu")
    assert "NuGraph2 runs in torch" in caplog.text
    (answer,) = run(other, event())
    assert answer.pop("unknown_hits") == expected.pop("unknown_hits")
    assert_close(answer, expected)


planes = st.tuples(*[st.integers(0, 12)] * 3)


@given(st.lists(st.tuples(planes, st.integers(0, 9), st.integers(0, 99)), min_size=1, max_size=4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batched_answers_equal_single_ones(
    pipeline: NuGraph2, sizes: list[tuple[tuple[int, int, int], int, int]]
) -> None:
    events = [event(hits, points, seed=seed) for hits, points, seed in sizes]
    for arrays, answer in zip(events, run(pipeline, *events), strict=True):
        (alone,) = run(pipeline, arrays)
        assert answer.pop("unknown_hits") == alone.pop("unknown_hits")
        assert_close(answer, alone)
        for number, plane in enumerate(PLANES):
            hits = int((arrays["hit_table_local_plane"] == number).sum())
            assert answer[f"x_semantic_{plane}"].shape == (hits, 5)
            assert answer[f"x_filter_{plane}"].shape == (hits,)


def test_clients_learn_the_classes_the_heads_and_the_notice(pipeline: NuGraph2) -> None:
    metadata = pipeline.metadata()
    assert metadata["semantic_classes"] == "s0,s1,s2,s3,s4"
    assert metadata["heads"] == "semantic,filter"
    assert metadata["notice"] == "for tests"
    assert "event_classes" not in metadata
    card = NuGraph2Task().card(metadata)
    assert card.heads == ("semantic", "filter")
    columns = [column.name for column in NuGraph2Task().columns_of(card, None)]
    assert {"p_s4", "filter"} <= set(columns)
    assert not any("event_class" in name or "vertex" in name for name in columns)


def test_a_server_that_names_nothing_has_the_columns_of_nugraph2() -> None:
    task = NuGraph2Task()
    columns = {column.name for column in task.columns_of(task.card({}), None)}
    assert {"semantic", "p_class 0", "p_class 4", "signal"} <= columns
    assert not {"p_class 5", "event_class", "vertex_x"} & columns


def test_the_other_name_is_the_same_model_and_always_on_the_cpu(pipeline: NuGraph2) -> None:
    other = NuGraph2Cpu(pipeline.weights_path)
    other.setup("cuda:0")
    (expected,), (answer,) = run(pipeline, event()), run(other, event())
    assert answer.pop("unknown_hits") == expected.pop("unknown_hits")
    assert_close(answer, expected)
    assert (NuGraph2.name, NuGraph2Cpu.name) == ("nugraph2", "nugraph2_cpu")


def test_weights_of_another_network_are_refused_with_the_command_for_them(tmp_path: Path) -> None:
    folder = save(tmp_path / "w")
    for kind, other, name in (
        (NuGraph3, folder, "nugraph2"),
        (NuGraph2, DATA / "weights", "nugraph3"),
    ):
        with pytest.raises(WeightsError, match=f"naiad serve {name} --weights {other}"):
            kind(other).metadata()
    with pytest.raises(WeightsError, match=r"weights\.json: cannot be read"):
        read_card_of(tmp_path, NuGraph2Card)


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "w", NuGraph2Architecture(semantic_classes=4, planar_features=8))
    with pytest.raises(WeightsError, match="semantic_classes 4; the service needs 5"):
        NuGraph2(folder).metadata()


def test_serving_needs_neither_torch_nor_pandas(pipeline: NuGraph2) -> None:
    code = (
        "import sys; from naiad.runtime.spec import Spec; from naiad.runtime.worker import load; "
        "runner = load(Spec('naiad.applications.nugraph.nugraph2_pipeline:NuGraph2', "
        "weights=sys.argv[1]))\n"
        "request = runner.contract.request(runner.pipeline.example(), '', {})\n"
        "(outputs,) = runner.run([request]).outcomes\n"
        "assert outputs['x_semantic_y'].shape == (48, 5), outputs\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(pipeline.weights_path)], check=True)


def test_the_checkpoint_is_imported_with_its_sizes(shared_data: Path, tmp_path: Path) -> None:
    card = import_checkpoint(
        shared_data / "nugraph2" / "random.ckpt", tmp_path / "w", notice="mind"
    )
    assert isinstance(card, NuGraph2Card)
    assert card.architecture == NuGraph2Architecture()
    assert card.semantic_classes == NUGRAPH2_CLASSES
    assert card.notice == "mind"
    assert card.mean["u"] == (389.42752, 172.90794, 147.81108, 4.5563765)
    assert card.provenance["checkpoint"] == "random.ckpt"
    net, read = load_nugraph2(tmp_path / "w")
    assert read == card == read_any_card(tmp_path / "w")
    assert sum(parameter.numel() for parameter in net.parameters()) == 360_888


def names_for_numbers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name the layers of classes by their class, as the network's description does."""
    named: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        start, _, end = name.rpartition(".net.")
        number, _, kind = end.partition(".")
        by_class = number.isdecimal() and kind in ("weight", "bias")
        new = f"{start}.net.{NUGRAPH2_CLASSES[int(number)]}.{kind}" if by_class else name
        named[new] = tensor
    assert len(named) == len(state)
    return named


@pytest.mark.parametrize("form", ["numbered", "named", "double precision", "early"])
def test_checkpoints_are_imported_as_torch_would_load_them(tmp_path: Path, form: str) -> None:
    state: dict[str, torch.Tensor] = dict(tiny().state_dict())
    changes: dict[str, Any] = {}
    if form == "named":
        state = names_for_numbers(state)
    elif form == "double precision":
        state = {name: tensor.double() for name, tensor in state.items()}
    elif form == "early":
        changes = {"semantic_classes": None, "classes": list(NUGRAPH2_CLASSES)}
    import_checkpoint(checkpoint(tmp_path / "a.ckpt", state, **changes), tmp_path / "w")
    net, _ = load_nugraph2(tmp_path / "w")
    for name, tensor in tiny().state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)


def other_state(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = {**tiny().state_dict(), **changes}
    return {name: tensor for name, tensor in state.items() if tensor is not None}


@pytest.mark.parametrize(
    ("state", "changes", "message"),
    [
        (None, {"filter_head": False}, "trained without the filter head"),
        (None, {"event_head": True}, "trained with the event head, which the service lacks"),
        (None, {"planes": ["u", "v", "w"]}, "has no encoder.net.w"),
        (None, {"num_iters": None}, "num_iters is None"),
        (None, {"semantic_classes": ["MIP"]}, "unknown tensor encoder.net.u.0.net.1"),
        (None, {"semantic_classes": 5}, "semantic_classes is 5; it must be a list of names"),
        (
            other_state(**{"nexus_net.nexus_down.u.edge_net.0.net.2.bias": None}),
            {},
            "has no nexus_net.nexus_down.u.edge_net.0.net.2.bias",
        ),
        (
            other_state(**{"plane_net.net.y.node_net.0.net.0.weight": torch.zeros(8, 3)}),
            {},
            r"plane_net.net.y.node_net.0.net.0.weight is torch.float32 \[8, 3\]; .* \[8, 24\]",
        ),
        (
            {"layers.0.weight": torch.zeros(2)},
            {},
            r"not a checkpoint of NuGraph2, NuGraph3 of 2024.*its tensors: layers.0.weight",
        ),
    ],
)
def test_a_checkpoint_that_differs_is_refused_by_what_differs(
    tmp_path: Path, state: dict[str, torch.Tensor] | None, changes: dict[str, Any], message: str
) -> None:
    path = checkpoint(tmp_path / "a.ckpt", state, **changes)
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(path, tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("name", ["nugraph", "nugraph2", "nugraph3"])
@pytest.mark.parametrize(
    ("file", "title", "model"),
    [
        ("nugraph2/random.ckpt", "NuGraph2: semantic classes MIP, HIP", "nugraph2"),
        ("nugraph3/hierarchical.ckpt", "NuGraph3: semantic classes pion, muon", "nugraph3"),
    ],
)
def test_the_command_tells_the_networks_apart(
    shared_data: Path, tmp_path: Path, name: str, file: str, title: str, model: str
) -> None:
    command = ["weights", "import", name, str(shared_data / file), "-o", str(tmp_path / "w")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    printed = " ".join(result.output.split())
    assert title in printed
    assert f"serve it: naiad serve {model} --weights" in printed
    kind = {"nugraph2": NuGraph2Card, "nugraph3": NuGraph3Card}[model]
    assert isinstance(read_any_card(tmp_path / "w"), kind)


def test_pions_and_muons_are_mip_kaons_and_hadrons_hip() -> None:
    labels = as_classes(np.array([*range(7), BACKGROUND]), NUGRAPH2_CLASS_OF)
    named = dict(zip(SEMANTIC_CLASSES, labels, strict=False))
    assert {name: NUGRAPH2_CLASSES[number] for name, number in named.items()} == {
        "pion": "MIP",
        "muon": "MIP",
        "kaon": "HIP",
        "hadron": "HIP",
        "shower": "shower",
        "michel": "michel",
        "diffuse": "diffuse",
    }
    assert labels[-1] == BACKGROUND


@pytest.mark.slow
def test_training_learns_and_writes_weights_that_are_served(tmp_path: Path) -> None:
    write_events(tmp_path / "events.h5", simulate(20, seed=3))
    result = train(
        tmp_path / "events.h5",
        tmp_path / "w",
        epochs=2,
        batch_events=4,
        recipe=NUGRAPH2,
        architecture=TINY,
    )
    assert result.losses[1] < result.losses[0]
    lines = "\n".join(training_lines(result))
    assert "MIP" in lines
    assert "filter accuracy" in lines
    assert "vertex" not in lines
    assert "event class" not in lines
    network, card = load_nugraph2(tmp_path / "w")
    assert network.arch == TINY
    assert card.notice == NOTICE
    assert card.semantic_classes == NUGRAPH2_CLASSES
    assert "vertex" not in card.provenance["held_out"]
    pipeline = NuGraph2(tmp_path / "w")
    pipeline.setup("cpu")
    (answer,) = run(pipeline, event())
    assert all(np.isfinite(array).all() for array in answer.values())


@pytest.mark.slow
def test_the_shipped_weights_reach_their_metrics_on_new_events() -> None:
    network, card = load_nugraph2(DATA / "nugraph2_weights")
    promised = json.loads((DATA / "nugraph2_weights" / METRICS_FILE).read_text())
    assert card.notice == promised["notice"] == NOTICE
    graphs = [relabelled(prepare_graph(event), NUGRAPH2) for event in simulate(150, seed=987)]
    found = evaluate(network, graphs, 16, NUGRAPH2)
    for name, tolerance in (("semantic_accuracy", 0.06), ("filter_accuracy", 0.03)):
        assert found[name] == pytest.approx(promised["metrics"][name], abs=tolerance)
