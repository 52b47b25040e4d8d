"""The compiled network is the one in torch, whatever the event, and is compiled once a machine."""

from __future__ import annotations

import builtins
import logging
import subprocess
import sys

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.pipelines.nugraph3.graphs import assert_close, event, merge, parts

from naiad.pipelines.nugraph3 import kernels
from naiad.pipelines.nugraph3.compiled import CompiledNuGraph3
from naiad.pipelines.nugraph3.inference import FusedNuGraph3, fastest
from naiad.pipelines.nugraph3.metadata import Architecture
from naiad.pipelines.nugraph3.model import NuGraph3Net


def make_net(architecture: Architecture | None = None) -> NuGraph3Net:
    torch.manual_seed(7)
    net = NuGraph3Net(architecture)
    planes = net.arch.planes
    net.set_normalisation(
        dict.fromkeys(planes, (400.0, 170.0, 150.0, 4.5)),
        dict.fromkeys(planes, (200.0, 80.0, 200.0, 2.0)),
    )
    return net.eval()


SMALL = make_net(Architecture(planar_features=24, nexus_features=8, interaction_features=12))

events = st.builds(
    event,
    st.tuples(*[st.integers(0, 40)] * 3),
    st.integers(0, 60),
    seed=st.integers(0, 1000),
    missing=st.floats(0, 1),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(events, min_size=1, max_size=5))
def test_any_batch_of_any_events_is_labelled_as_by_torch(batch_of):
    batch = merge(batch_of)
    compiled = CompiledNuGraph3(SMALL)
    found = compiled(batch, len(batch_of))
    assert_close(found, FusedNuGraph3(SMALL)(batch, len(batch_of)))
    for single, share in zip(batch_of, parts(found, batch), strict=True):
        assert_close(share, compiled(merge([single]), 1))


def test_an_answer_is_not_changed_by_the_next_call():
    net = CompiledNuGraph3(SMALL)
    answer = net(merge([event(seed=1)]), 1)
    before = {name: value.clone() for name, value in answer.items()}
    net(merge([event(seed=2), event(seed=3)]), 2)
    assert all(torch.equal(value, before[name]) for name, value in answer.items())


def test_exponentials_are_right_to_rounding():
    x = np.linspace(-87, 80, 400_001, dtype=np.float32)
    found = x.copy()
    kernels.sigmoid(found)
    expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(found, expected, rtol=4e-7, atol=2e-35)
    activated = x.copy()
    kernels.mish(activated, np.zeros_like(x))
    wide = torch.from_numpy(x.astype(np.float64))
    expected = torch.nn.functional.mish(wide).numpy()
    np.testing.assert_allclose(activated, expected, rtol=1e-6, atol=1e-35)


def test_a_second_process_compiles_nothing():
    CompiledNuGraph3(SMALL)
    code = (
        "from naiad.pipelines.nugraph3.model import NuGraph3Net\n"
        "from naiad.pipelines.nugraph3.inference import fastest\n"
        "from numba.core import event\n"
        "with event.install_recorder('numba:compile') as recorder:\n"
        "    net = fastest(NuGraph3Net())\n"
        "print(type(net).__name__, len(recorder.buffer))\n"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert printed.split() == [b"CompiledNuGraph3", b"0"]


def test_without_numba_torch_answers(monkeypatch, caplog):
    original = builtins.__import__

    def without(name, *args):
        if name.startswith("naiad.pipelines.nugraph3.compiled"):
            raise ImportError("No module named 'numba'")
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with caplog.at_level(logging.WARNING):
        assert isinstance(fastest(SMALL), FusedNuGraph3)
    assert "numba" in caplog.text


def test_a_failing_compiler_leaves_torch(monkeypatch, caplog):
    def fail(weights):
        raise RuntimeError("no such processor")

    monkeypatch.setattr("naiad.pipelines.nugraph3.compiled._compile", fail)
    with caplog.at_level(logging.WARNING):
        assert isinstance(fastest(SMALL), FusedNuGraph3)
    assert "no such processor" in caplog.text


def test_the_compiled_form_is_served_on_a_cpu():
    assert isinstance(fastest(SMALL), CompiledNuGraph3)
