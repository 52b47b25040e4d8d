"""The compiled network answers like torch, whatever the event and the processor."""

from __future__ import annotations

import ctypes
import platform
import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.markdown import ROOT
from tests.unit.applications.nugraph.graphs import assert_close, event, merge, parts

from naiad.applications.nugraph import compiled, native_library
from naiad.applications.nugraph.arrangement import parameter_shapes
from naiad.applications.nugraph.card import Architecture
from naiad.applications.nugraph.compiled import CompiledNuGraph3
from naiad.applications.nugraph.model import NuGraph3Net
from naiad.applications.nugraph.native_library import instruction_sets
from naiad.applications.nugraph.nugraph2_compiled import CompiledNuGraph2
from naiad.applications.nugraph.nugraph2_model import NuGraph2Net

BUILD = runpy.run_path(str(ROOT / "scripts" / "native.py"))
(LIBRARY,) = [made for made in BUILD["LIBRARIES"] if made.name == "libnugraph.so"]
SOURCES = ROOT / "src" / "naiad" / LIBRARY.home / "cpp"

EXPONENTIALS = """
#include <stdint.h>
namespace {
constexpr int lanes = LANES;
#include "vectors.h"
}
extern "C" __attribute__((visibility("default")))
void functions(float* x, float* y, float* z, int64_t count) {
  sigmoid(x, count);
  for (int64_t i = 0; i * lanes < count; i++) {
    vectors(y)[i] = mish(vectors(y)[i]);
    vectors(z)[i] = tanh(vectors(z)[i]);
  }
}
"""


def make_net(architecture: Architecture | None = None) -> NuGraph3Net:
    torch.manual_seed(7)
    net = NuGraph3Net(architecture)
    planes = net.arch.planes
    net.set_normalisation(
        dict.fromkeys(planes, (400.0, 170.0, 150.0, 4.5)),
        dict.fromkeys(planes, (200.0, 80.0, 200.0, 2.0)),
    )
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".net." in name and parameter.dim() == 2:
                parameter.mul_(2)  # so that features do not vanish in deep layers
    return net.eval()


# No size is a multiple of the vector width.
SMALL = make_net(
    Architecture(
        planes=("u", "v", "y"),
        semantic_classes=5,
        event_classes=3,
        planar_features=25,
        nexus_features=7,
        interaction_features=12,
        num_iters=3,
    )
)

events = st.builds(
    event,
    st.tuples(*[st.integers(0, 40)] * 3),
    st.integers(0, 130),
    seed=st.integers(0, 1000),
    missing=st.floats(0, 1),
)


@pytest.fixture(params=instruction_sets())
def form(request) -> CompiledNuGraph3:
    return CompiledNuGraph3.of(SMALL, request.param)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(events, min_size=1, max_size=4))
def test_any_batch_of_any_events_is_labelled_as_by_torch(batch_of):
    batch = merge(batch_of)
    with torch.inference_mode():
        expected = SMALL(batch, len(batch_of))
    for instructions in instruction_sets():
        form = CompiledNuGraph3.of(SMALL, instructions)
        found = form(batch, len(batch_of))
        assert_close(found, expected)
        for single, share in zip(batch_of, parts(found, batch), strict=True):
            alone = form(merge([single]), 1)
            for name, value in share.items():
                np.testing.assert_array_equal(value, alone[name])


def test_an_answer_is_not_changed_by_the_next_call(form):
    answer = form(merge([event(seed=1)]), 1)
    before = {name: value.copy() for name, value in answer.items()}
    form(merge([event(seed=2), event(seed=3)]), 2)
    assert all(np.array_equal(value, before[name]) for name, value in answer.items())


def test_edges_and_spacepoints_may_be_in_any_order(form):
    batch = dict(merge([event((30, 20, 25), 40, seed=i) for i in range(3)]))
    expected = form(batch, 3)
    rng = torch.Generator().manual_seed(0)
    for name, values in batch.items():
        if "_edge_" in name:
            batch[name] = values[:, torch.randperm(values.shape[1], generator=rng)]
    order = torch.randperm(120, generator=rng)
    batch["sp_event"] = batch["sp_event"][order]
    for plane in SMALL.arch.planes:
        hit, point = batch[f"nexus_edge_{plane}"]
        batch[f"nexus_edge_{plane}"] = torch.stack((hit, order.argsort()[point]))
    assert_close(form(batch, 3), expected)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_exponentials_are_right_to_rounding(lanes, tmp_path):
    (tmp_path / "all.cpp").write_text(EXPONENTIALS.replace("LANES", str(lanes)), "utf-8")
    (tmp_path / "vectors.h").write_bytes((SOURCES / "vectors.h").read_bytes())
    library = tmp_path / "all.so"
    BUILD["compile_library"](LIBRARY, tmp_path / "all.cpp", library, platform.machine())
    tiny = np.logspace(-30, 1, 50_000, dtype=np.float32)
    x = np.concatenate((np.linspace(-87, 80, 400_000, dtype=np.float32), tiny, -tiny))
    gate, activated, bounded = (torch.from_numpy(x.copy()) for _ in range(3))
    addresses = [ctypes.c_void_p(values.data_ptr()) for values in (gate, activated, bounded)]
    ctypes.CDLL(str(library)).functions(*addresses, ctypes.c_int64(len(x)))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(gate, 1 / (1 + np.exp(-exact)), rtol=4e-7, atol=2e-35)
    expected = torch.nn.functional.mish(torch.from_numpy(exact))
    np.testing.assert_allclose(activated, expected, rtol=1e-6, atol=1e-35)
    np.testing.assert_allclose(bounded, np.tanh(exact), rtol=4e-7)


@pytest.mark.slow
@pytest.mark.skipif("avx2" not in instruction_sets(), reason="the processor has no AVX2")
def test_blocks_for_avx512_are_right_in_the_registers_of_avx2(tmp_path, monkeypatch):
    """Few machines have AVX-512; everything but its instructions is tested everywhere."""
    for header in SOURCES.glob("*.h"):
        (tmp_path / header.name).write_bytes(header.read_bytes())
    source = (SOURCES / "library.cpp").read_text("utf-8")
    assert source.count(",avx512f") == 1
    (tmp_path / "library.cpp").write_text(source.replace(",avx512f", ""), "utf-8")
    library = tmp_path / "wide.so"
    BUILD["compile_library"](LIBRARY, tmp_path / "library.cpp", library, "x86_64")
    monkeypatch.setattr(native_library, "LIBRARY", library)
    native_library.library.cache_clear()
    torch.manual_seed(8)
    other = NuGraph2Net().eval()
    batch = merge([event((130, 29, 41), 125, seed=1), event((3, 0, 12), 9, seed=2)])
    try:
        found = CompiledNuGraph3.of(SMALL, "avx512")(batch, 2)
        found_2 = CompiledNuGraph2.of(other, "avx512")(batch, 2)
    finally:
        native_library.library.cache_clear()
    with torch.inference_mode():
        assert_close(found, SMALL(batch, 2))
        assert_close(found_2, other(batch, 2))


def test_weights_that_are_too_few_are_refused(monkeypatch):
    arrange = compiled.arrange
    monkeypatch.setattr(compiled, "arrange", lambda *args: arrange(*args)[:-1])
    with pytest.raises(RuntimeError, match="weights"):
        CompiledNuGraph3.of(SMALL)


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from naiad.applications.nugraph.arrangement import parameter_shapes
from naiad.applications.nugraph.compiled import CompiledNuGraph3
from naiad.applications.nugraph.card import Architecture

arch = Architecture()
state = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(arch).items()}
planes = dict.fromkeys(arch.planes, (1.0,) * 4)
net = CompiledNuGraph3(arch, state, planes, planes)

def batch(points):
    empty = np.empty((2, 0), np.int64)
    edges = {f"{k}_edge_{p}": empty for k in ("plane", "nexus") for p in arch.planes}
    x = {f"x_{p}": np.empty((0, 4), np.float32) for p in arch.planes}
    return {**x, **edges, "sp_event": np.zeros(points, np.int64)}

large = batch(200_000)  # needs some 240 MB
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, resource.RLIM_INFINITY))
try:
    net(large, 1)
except MemoryError as error:
    print(error)
assert np.isfinite(net(batch(1_000), 1)["v_evt"]).all()
"""


def test_a_batch_without_memory_for_it_is_refused_and_the_next_is_labelled():
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "not enough memory to label 0 hits and 200000 spacepoints at once\n"


def test_parameters_have_the_shapes_of_the_network():
    state = SMALL.state_dict()
    assert parameter_shapes(SMALL.arch) == {name: tuple(t.shape) for name, t in state.items()}
