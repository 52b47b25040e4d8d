"""NuGraph3 of 2026: its checkpoints, graphs and answers, with whatever heads it has."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.applications.nugraph.condensation_checkpoints import (
    GOLDENS,
    SMALL,
    assert_equal,
    expected,
    golden,
    golden_event,
    read,
    save,
    small_checkpoint,
    with_heads,
)
from tests.unit.applications.nugraph.graphs import event
from typer.testing import CliRunner

from naiad.applications.nugraph.by_weights import nugraph3
from naiad.applications.nugraph.card import NuGraph2Card, read_card_of
from naiad.applications.nugraph.condensation.card import HEADS, CondensationCard
from naiad.applications.nugraph.condensation.prepare import prepare
from naiad.applications.nugraph.events import SPACEPOINT_COLUMNS, Event, open_events
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.applications.nugraph.result_files import read_results, write_results
from naiad.applications.nugraph.results import NuGraph3Result
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.applications.nugraph.weights import import_checkpoint
from naiad.card import read_card
from naiad.cli.main import app
from naiad.core.pipeline import load_pipeline, with_weights
from naiad.errors import InvalidInput, WeightsError
from naiad.runtime.runner import Runner

OUTPUTS = {
    "event": {"e_evt"},
    "semantic": {f"x_semantic_{p}" for p in "uvy"},
    "filter": {f"x_filter_{p}" for p in "uvy"},
    "vertex": {"v_evt"},
    "instance": {f"{name}_{p}" for name in ("of", "ox", "i") for p in "uvy"},
    "spacepoint": {f"x_position_{p}" for p in "uvy"},
}


def served(folder: Path) -> Runner:
    """Set up the pipeline of some weights."""
    return Runner(with_weights(load_pipeline("nugraph3"), folder)())


def answers(runner, *events, **parameters):
    """Answer events that are merged."""
    requests = [runner.contract.request(e, "", parameters) for e in events]
    outcomes = runner.run(requests).outcomes
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return outcomes


@pytest.fixture(scope="module")
def folders(shared_data, tmp_path_factory):
    """Import the two reference checkpoints."""
    made = {}
    for name in set(GOLDENS.values()):
        made[name] = tmp_path_factory.mktemp("weights") / name
        import_checkpoint(shared_data / "nugraph3_2026" / f"{name}.ckpt", made[name])
    return made


@pytest.fixture(scope="module")
def runners(folders):
    return {name: served(folder) for name, folder in folders.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    import_checkpoint(save(small_checkpoint(), folder / "a.ckpt"), folder / "w")
    return served(folder / "w")


@pytest.mark.parametrize("name", GOLDENS)
def test_the_graph_is_the_originals(shared_data, name):
    reference = golden(shared_data, name)
    sample = prepare(golden_event(reference), 1 if "gen1" in name else 2)
    for mine, theirs in (("x", "x"), ("hit_plane", "plane")):
        np.testing.assert_array_equal(sample[mine], reference[f"graph_{theirs}"])
    for mine, theirs in (("plane_edge", "edge_planar"), ("nexus_edge", "edge_nexus")):
        found, wanted = (
            sorted(map(tuple, e.T)) for e in (sample[mine], reference[f"graph_{theirs}"])
        )
        assert found == wanted
    assert len(sample["sp_event"]) == reference["graph_num_sp"]


@pytest.mark.parametrize("name", GOLDENS)
def test_the_answer_is_the_originals_alone_and_merged(shared_data, runners, name):
    reference, runner = golden(shared_data, name), runners[GOLDENS[name]]
    request = golden_event(reference)
    (alone,) = answers(runner, request)
    assert_equal(alone, expected(reference))
    others = [event((5 + n, n, 30), 9, seed=n) for n in range(16)]
    assert_equal(
        answers(runner, *others[:7], request, *others[7:])[7], expected(reference), slack=2
    )


def test_the_tpc_is_optional_and_used(shared_data, runners):
    reference = golden(shared_data, "golden_small")
    request = golden_event(reference)
    del request["hit_table_tpc"]
    (answer,) = answers(runners["random"], request)
    assert_equal(answer, expected(reference))  # all its hits are in chamber 0
    (other,) = answers(
        runners["random"], {**request, "hit_table_tpc": request["hit_table_local_plane"]}
    )
    assert not np.allclose(other["ox_u"], answer["ox_u"], atol=1e-2)


@pytest.mark.parametrize("missing", HEADS)
def test_without_a_head_its_outputs_are_gone_and_the_others_as_before(
    shared_data, tmp_path, missing
):
    reference = golden(shared_data, "golden_small")
    heads = tuple(head for head in HEADS if head != missing)
    checkpoint = with_heads(read(shared_data / "nugraph3_2026" / "random.ckpt"), heads)
    card = import_checkpoint(save(checkpoint, tmp_path / "a.ckpt"), tmp_path / "w")
    assert card.heads == heads
    runner = served(tmp_path / "w")
    (answer,) = answers(runner, golden_event(reference))
    kept = set().union(*(OUTPUTS[head] for head in heads))
    assert set(runner.pipeline.outputs) == set(answer) == {*kept, "unknown_hits"}
    wanted = expected(reference)
    if missing in ("semantic", "filter"):  # more hits may belong to particles
        wanted = {k: v for k, v in wanted.items() if not k.startswith("i_")}
    assert_equal(answer, {k: v for k, v in wanted.items() if k in kept})
    reason = f"trained without {'an' if missing in ('event', 'instance') else 'a'} {missing} head"
    for name in OUTPUTS[missing]:
        assert reason in runner.pipeline.metadata()["left_out"], name


@pytest.mark.parametrize("head", HEADS)
def test_one_head_is_enough(tmp_path, head):
    checkpoint = small_checkpoint(
        msgspec.structs.replace(
            SMALL,
            semantic_classes=7 if head == "semantic" else 0,
            event_classes=2 if head == "event" else 0,
        ),
        (head,),
    )
    import_checkpoint(save(checkpoint, tmp_path / "a.ckpt"), tmp_path / "w")
    (answer,) = answers(served(tmp_path / "w"), event((4, 0, 3), 3))
    assert set(answer) == {*OUTPUTS[head], "unknown_hits"}


def test_the_schema_has_the_checkpoints_sizes(small):
    outputs = small.pipeline.outputs
    assert outputs["e_evt"].config_dims == (2,)
    assert outputs["x_semantic_u"].config_dims == (-1, 7)
    assert outputs["ox_v"].config_dims == (-1, 3)
    assert outputs["i_y"].config_dims == (-1,)
    assert outputs["i_y"].triton == "INT32"
    assert small.pipeline.inputs["hit_table_tpc"].optional
    assert small.pipeline.metadata()["event_classes"] == "e0,e1"


@pytest.mark.parametrize(
    ("hits", "points"),
    [
        ((0, 0, 0), 0),
        ((1, 0, 0), 0),
        ((0, 2, 0), 1),
        ((1, 1, 1), 1),
        ((2, 0, 3), 0),
        ((0, 0, 0), 2),
    ],
)
def test_events_that_the_original_skips_are_answered(small, hits, points):
    arrays = event(hits, points)
    (answer,) = answers(small, arrays)
    assert all(np.isfinite(array).all() for array in answer.values())
    for plane, number in zip("uvy", hits, strict=True):
        assert answer[f"x_semantic_{plane}"].shape == (number, 7)
        assert answer[f"x_position_{plane}"].shape == (number, 3)
        assert answer[f"i_{plane}"].tolist() == [-1] * number
    full = event((20, 20, 20), 12)
    assert_equal(answers(small, full, arrays, full)[1], without_count(answer), slack=2)


def without_count(answer):
    return {name: array for name, array in answer.items() if name != "unknown_hits"}


def test_two_hits_of_a_plane_are_linked_and_one_is_not():
    arrays = complete(event((2, 1, 0), 0))
    first, second = np.flatnonzero(arrays["hit_table_local_plane"] == 0).tolist()
    edges = sorted(map(tuple, prepare(arrays, 2)["plane_edge"].T.tolist()))
    assert edges == [(first, second), (second, first)]


def complete(arrays):
    return {**arrays, "hit_table_tpc": np.zeros(len(arrays["hit_table_hit_id"]), np.int32)}


def test_a_spacepoint_may_name_a_hit_of_any_plane():
    arrays = complete(event((2, 2, 2), 1))
    arrays["spacepoint_table_hit_id_u"][:] = arrays["hit_table_hit_id"][5]
    arrays["spacepoint_table_hit_id_v"][:] = 12345
    arrays["spacepoint_table_hit_id_y"][:] = -1
    sample = prepare(arrays, 2)
    assert sample["nexus_edge"].tolist() == [[5], [0]]
    assert sample["unknown_hits"].tolist() == [1]
    with pytest.raises(InvalidInput, match=r"hit_id_v\[0\] is 12345; no hit has that hit_id"):
        prepare(arrays, 2, strict=True)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), generation=st.sampled_from(["random", "random_gen1"]))
def test_the_order_of_the_table_only_orders_rows(shared_data, runners, seed, generation):
    name = "golden_small_tpc" if generation == "random" else "golden_gen1_small"
    arrays = golden_event(golden(shared_data, name))
    order = np.random.default_rng(seed).permutation(len(arrays["hit_table_hit_id"]))
    mixed = {k: v[order] if k.startswith("hit_table") else v for k, v in arrays.items()}
    (first,), (second,) = (answers(runners[generation], one) for one in (arrays, mixed))
    names: dict[int, int] = {-1: -1}
    for number, plane in enumerate("uvy"):
        rows = np.flatnonzero(arrays["hit_table_local_plane"] == number)
        back = np.argsort(order[mixed["hit_table_local_plane"] == number])
        np.testing.assert_array_equal(
            arrays["hit_table_hit_id"][rows],
            mixed["hit_table_hit_id"][mixed["hit_table_local_plane"] == number][back],
        )
        for head in ("x_semantic", "x_filter", "of", "ox", "x_position"):
            np.testing.assert_allclose(
                first[f"{head}_{plane}"], second[f"{head}_{plane}"][back], atol=1e-4
            )
        for a, b in zip(first[f"i_{plane}"], second[f"i_{plane}"][back], strict=True):
            assert names.setdefault(int(b), int(a)) == a
    assert len(set(names.values())) == len(names)
    np.testing.assert_allclose(first["v_evt"], second["v_evt"], atol=1e-4)


def test_the_card_says_what_the_checkpoint_is(folders, shared_data):
    for name, generation, features in (("random", 2, 8), ("random_gen1", 1, 5)):
        card = read_card(folders[name], CondensationCard)
        assert (card.generation, card.architecture.in_features) == (generation, features)
        assert card.heads == HEADS
        assert card.semantic_classes[-1] == "diffuse"
        assert card.event_classes == ("cc_nue", "cc_numu", "cc_nutau", "nc")
        state = read(shared_data / "nugraph3_2026" / f"{name}.ckpt")["state_dict"]
        for key in ("mean", "var"):
            stored = state[f"encoder.input_norm.norm.{key}"]
            assert torch.equal(torch.tensor(getattr(card, key)), stored)
        assert len(card.sha256) == 64


def changed(checkpoint, **values):
    return {**checkpoint, "hyper_parameters": {**checkpoint["hyper_parameters"], **values}}


def shallower(checkpoint):
    """Return a checkpoint of before May 2026, whose condensation has a layer less."""
    state = {
        name: tensor
        for name, tensor in checkpoint["state_dict"].items()
        if not name.startswith(("core_net.beta_net.4", "core_net.coord_net.4"))
    }
    return {**checkpoint, "state_dict": state}


def narrower(checkpoint):
    state = dict(checkpoint["state_dict"])
    state["core_net.beta_net.2.weight"] = torch.zeros(24, 23)
    return {**checkpoint, "state_dict": state}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: changed(c, in_features=4), "in_features is 4: graphs of before 2026"),
        (lambda c: changed(c, in_features=12), "in_features is 12: graphs made with --featext"),
        (lambda c: changed(c, in_features=9), "in_features is 9: graphs of the first generation"),
        (lambda c: changed(c, in_features=7), "in_features is 7; networks for graphs of the first"),
        (lambda c: changed(c, num_iters=None), "num_iters is None"),
        (lambda c: changed(c, planes=["u", "v"]), "planes are u, v; the service has u, v, y"),
        (
            lambda c: changed(c, semantic_classes=None),
            "semantic_classes is None; it must be a list",
        ),
        (lambda c: changed(c, event_head=False), r"it has also event_decoder.net.bias"),
        (lambda c: with_heads(c, ()), "trained without any head"),
        (shallower, r"another version of it: it has no core_net.beta_net.4.bias, .* and 1 more"),
        (narrower, r"core_net.beta_net.2.weight \[24, 23\], not \[24, 24\]"),
    ],
)
def test_other_networks_are_refused_by_what_differs(tmp_path, change, message):
    path = save(change(small_checkpoint()), tmp_path / "a.ckpt")
    with pytest.raises(WeightsError, match=message):
        import_checkpoint(path, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_a_normalisation_file_is_refused(tmp_path):
    path = save(small_checkpoint(), tmp_path / "a.ckpt")
    with pytest.raises(WeightsError, match="is not needed"):
        import_checkpoint(path, tmp_path / "w", normalisation=tmp_path / "norm.json")


def test_tensors_of_another_file_are_refused(tmp_path):
    for name, heads in (("a", HEADS), ("b", ("vertex",))):
        checkpoint = with_heads(small_checkpoint(), heads)
        import_checkpoint(save(checkpoint, tmp_path / f"{name}.ckpt"), tmp_path / name)
    (tmp_path / "b" / "weights.json").replace(tmp_path / "a" / "weights.json")
    with pytest.raises(WeightsError, match="do not belong together"):
        served(tmp_path / "a")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generation": 1}, "generation is 1; with 8 features it is 2"),
        ({"heads": ("vertex", "event")}, "heads are vertex, event; they must be some of"),
        ({"heads": ()}, "heads are none"),
        ({"event_classes": ("one",)}, "1 names for 2 event classes"),
        ({"heads": ("semantic",)}, "2 event classes, but no event head"),
        ({"mean": (1.0,)}, r"mean is \[1.0\]; it must be 8 finite numbers"),
        ({"var": (-1.0,) * 8}, "must not be negative"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(changes, message):
    values = {
        "generation": 2,
        "heads": HEADS,
        "architecture": SMALL,
        "semantic_classes": tuple("abcdefg"),
        "event_classes": ("a", "b"),
        "mean": (0.0,) * 8,
        "var": (1.0,) * 8,
    }
    assert CondensationCard(**values).generation == 2
    with pytest.raises(WeightsError, match=message):
        CondensationCard(**{**values, **changes})


def test_the_class_is_chosen_by_the_weights(folders, tmp_path):
    old = Path(NuGraph3().weights_path)
    assert issubclass(nugraph3(old), NuGraph3)
    assert nugraph3(old).name == nugraph3(folders["random"]).name == "nugraph3"
    assert nugraph3(old).inputs.keys() == NuGraph3.inputs.keys()
    assert not issubclass(nugraph3(folders["random"]), NuGraph3)
    with pytest.raises(WeightsError, match="not found; give a file or folder"):
        nugraph3(tmp_path / "nothing")()
    with pytest.raises(
        WeightsError, match=r"of NuGraph3 of 2026, .* naiad serve nugraph3 --weights"
    ):
        read_card_of(folders["random"], NuGraph2Card)


def test_the_client_sends_the_tpc_to_a_model_that_takes_it(runners):
    task = NuGraph3Task()
    one = Event(1, 2, 3, hits_of(event((2, 2, 2), 0)), NO_SPACEPOINTS)
    for name, sent in (("random", True), ("random_gen1", False)):
        card = task.card(runners[name].pipeline.metadata())
        request = task.request_for(one, NuGraph3Task.Options(), card)
        assert ("hit_table_tpc" in request.arrays) == sent
        assert request.id == "1/2/3"


NO_SPACEPOINTS = {name: np.empty(0, np.int32) for name in SPACEPOINT_COLUMNS}


def hits_of(arrays):
    return {name.removeprefix("hit_table_"): array for name, array in complete(arrays).items()}


def test_the_cpp_types_are_those_of_the_weights(folders, tmp_path):
    path = tmp_path / "nugraph3.hpp"
    arguments = ["codegen", "cpp", "nugraph3", "--weights", folders["random"], "-o", path]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    text = path.read_text()
    for member in (
        "std::optional<std::vector<std::int32_t>> hit_table_tpc;",
        "std::vector<float> of_u;",
        "Array<float> ox_v;",
        "std::vector<std::int32_t> i_y;",
        "Array<float> x_position_u;",
    ):
        assert f"  {member}\n" in text
    arguments[4] = tmp_path / "nothing"
    assert "not found" in str(CliRunner().invoke(app, list(map(str, arguments))).exception)


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_results_are_written_and_read_back(runners, shared_data, tmp_path, suffix):
    with open_events(shared_data / "nugraph3" / "event_small.h5") as events:
        one = events[0]
    runner = runners["random"]
    (outputs,) = answers(runner, one.arrays(extra=True))
    result = NuGraph3Result.from_outputs(one, outputs, runner.pipeline.metadata())
    write_results([result], tmp_path / f"a{suffix}")
    (back,) = read_results(tmp_path / f"a{suffix}")
    assert back.labels == result.labels
    assert back.hits.columns.tolist() == result.hits.columns.tolist()
    for name, values in result.values.items():
        np.testing.assert_array_equal(back.values[name], values, err_msg=name)


def test_a_subclass_of_a_users_stays_itself(folders):
    class Mine(NuGraph3):
        """A pipeline of a user's."""

    assert with_weights(Mine, folders["random"]) is Mine


def test_large_charges_are_refused():
    arrays = complete(event((3, 3, 3), 1))
    arrays["hit_table_integral"][4] = 20.0
    arrays["hit_table_integral"][:4] = 1.0
    with pytest.raises(InvalidInput, match=r"hit_table_integral\[4\] is 20; it must be at most 10"):
        prepare(arrays, 2, max_integral=10.0)


@pytest.mark.parametrize("strict", [True, "true"])
def test_strict_is_a_request_parameter(small, strict):
    arrays = event((3, 3, 3), 2)
    arrays["spacepoint_table_hit_id_v"][1] = 12345
    assert answers(small, arrays)[0]["unknown_hits"].tolist() == [1]
    with pytest.raises(InvalidInput, match=r"spacepoint_table_hit_id_v\[1\] is 12345"):
        answers(small, arrays, strict=strict)
