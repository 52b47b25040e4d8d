"""The compiled network with object condensation answers like torch, on any processor."""

from __future__ import annotations

import subprocess
import sys

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
    golden,
    golden_event,
    save,
    small_checkpoint,
)
from tests.unit.applications.nugraph.graphs import event

from naiad.applications.nugraph import native_library
from naiad.applications.nugraph.by_weights import nugraph3
from naiad.applications.nugraph.condensation import schema
from naiad.applications.nugraph.condensation.arrangement import parameter_shapes
from naiad.applications.nugraph.condensation.card import HEADS
from naiad.applications.nugraph.condensation.compiled import CompiledCondensation
from naiad.applications.nugraph.condensation.instances import particles
from naiad.applications.nugraph.condensation.model import CondensationNet
from naiad.applications.nugraph.condensation.prepare import prepare
from naiad.applications.nugraph.condensation.weights import load_weights
from naiad.applications.nugraph.native_library import instruction_sets
from naiad.applications.nugraph.weights import import_checkpoint
from naiad.core.merging import collate
from naiad.core.schema import measure

# No size is a multiple of the vector width.
ODD = msgspec.structs.replace(
    SMALL, hit_features=25, nexus_features=7, interaction_features=12, num_iters=3
)
SAMPLE = schema.sample(8)

events = st.builds(
    event,
    st.tuples(*[st.integers(0, 40)] * 3),
    st.integers(0, 130),
    seed=st.integers(0, 1000),
    missing=st.floats(0, 1),
)
heads = st.sets(st.sampled_from(HEADS), min_size=1).map(
    lambda some: tuple(head for head in HEADS if head in some)
)


def make_net(some=HEADS):
    torch.manual_seed(7)
    net = CondensationNet(ODD, some)
    net.set_normalisation(
        (1200.0, 3000.0, 150.0, 5.0, 0.5, 1.0, 1200.0, 3000.0),
        (5e5, 3e6, 2e4, 7.0, 0.25, 0.7, 5e5, 3e6),
    )
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".net." in name and parameter.dim() == 2:
                parameter.mul_(2)  # so that features do not vanish in deep layers
    return net.eval()


def merge(*arrays):
    samples = [prepare({**a, "hit_table_tpc": a["hit_table_local_plane"] % 2}, 2) for a in arrays]
    return collate(SAMPLE, samples, [measure(SAMPLE, sample) for sample in samples])


def by_torch(net, batch):
    with torch.inference_mode():
        found = net(
            {name: torch.from_numpy(array) for name, array in batch.items()}, batch.requests
        )
    return {name: tensor.numpy() for name, tensor in found.items()}


def assert_close(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (np.float32, array.shape), name
        np.testing.assert_allclose(got[name], array, atol=2e-5, rtol=2e-5, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(
    some=heads,
    given=st.lists(events, min_size=1, max_size=3),
    instructions=st.sampled_from(instruction_sets()),
)
def test_it_answers_like_torch(some, given, instructions):
    net, batch = make_net(some), merge(*given)
    form = CompiledCondensation.of(net, instructions)
    assert_close(form(batch, batch.requests), by_torch(net, batch))


@settings(max_examples=30, deadline=None)
@given(given=st.lists(events, min_size=2, max_size=4))
def test_events_that_share_a_batch_do_not_change_each_other(given):
    form = CompiledCondensation.of(make_net())
    batch = merge(*given)
    together = form(batch, batch.requests)
    ends = np.cumsum([0, *(len(one["hit_table_hit_id"]) for one in given)])
    for number, one in enumerate(given):
        alone = form(merge(one), 1)
        for name, array in alone.items():
            rows = slice(*ends[number : number + 2])
            part = together[name][number : number + 1] if "_evt" in name else together[name][rows]
            np.testing.assert_array_equal(part, array, err_msg=name)


@pytest.mark.parametrize("instructions", instruction_sets())
@pytest.mark.parametrize("name", GOLDENS)
def test_the_references_on_each_instruction_set(shared_data, tmp_path, name, instructions):
    reference = golden(shared_data, name)
    import_checkpoint(shared_data / "nugraph3_2026" / f"{GOLDENS[name]}.ckpt", tmp_path)
    form = CompiledCondensation.of(load_weights(tmp_path)[0], instructions)
    found = form(prepare(golden_event(reference), 1 if "gen1" in name else 2), 1)
    raw = {"e_evt": "e_logits", "x_semantic": "x_semantic_logits", "v_evt": "v"}
    assert_equal(found, {key: reference[f"out_{raw.get(key, key)}"] for key in found})
    np.testing.assert_array_equal(particles(found), reference["out_i"])


def test_an_event_without_anything_is_answered():
    form = CompiledCondensation.of(make_net())
    found = form(merge(event((0, 0, 0), 0)), 1)
    assert found["ox"].shape == (0, 3)
    assert np.isfinite(found["v_evt"]).all()


def test_the_shapes_of_parameters_are_those_of_torch():
    for some in (HEADS, ("vertex",), ("semantic", "spacepoint")):
        state = CondensationNet(ODD, some).state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        assert parameter_shapes(ODD, some) == shapes


def test_weights_that_do_not_fit_are_rejected(monkeypatch):
    net = make_net()
    whole = CompiledCondensation.of(net)
    assert whole.heads == HEADS
    monkeypatch.setattr(
        "naiad.applications.nugraph.condensation.compiled.arrange",
        lambda *_: np.zeros(100, np.float32),
    )
    with pytest.raises(RuntimeError, match="rejected 100 weights"):
        CompiledCondensation.of(net)


@pytest.fixture
def folder(tmp_path):
    import_checkpoint(save(small_checkpoint(), tmp_path / "a.ckpt"), tmp_path / "w")
    return tmp_path / "w"


def test_a_worker_on_a_cpu_needs_no_torch(folder):
    code = (
        "import sys; from naiad.runtime.runner import Runner\n"
        "from naiad.applications.nugraph.by_weights import nugraph3\n"
        "runner = Runner(nugraph3(sys.argv[1])())\n"
        "request = runner.contract.request(runner.pipeline.example(), '', {})\n"
        "(outputs,) = runner.run([request]).outcomes\n"
        "assert outputs['i_y'].shape == (48,), outputs\n"
        "assert not {'torch', 'pandas', 'numba'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


def test_without_the_library_torch_answers(folder, monkeypatch, tmp_path, caplog):
    made = nugraph3(folder)()
    batch = merge(event())
    made.setup("cpu")
    expected = made.forward(batch)
    monkeypatch.setattr(native_library, "LIBRARY", tmp_path / "none.so")
    native_library.library.cache_clear()
    made.setup("cpu")
    assert "none.so" in caplog.text
    answer = {name: np.asarray(array) for name, array in made.forward(batch).items()}
    for name, array in expected.items():
        np.testing.assert_allclose(answer[name], array, atol=2e-5, rtol=2e-5, err_msg=name)
    native_library.library.cache_clear()
