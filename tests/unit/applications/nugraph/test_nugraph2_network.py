"""NuGraph2, in torch and compiled, answers as the original in any batch, and can be trained."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.applications.nugraph.graphs import assert_close, event, merge, parts

from naiad.applications.nugraph import nugraph2_compiled
from naiad.applications.nugraph.card import Normalisation, NuGraph2Architecture
from naiad.applications.nugraph.native_library import instruction_sets
from naiad.applications.nugraph.nugraph2_arrangement import parameter_shapes
from naiad.applications.nugraph.nugraph2_compiled import CompiledNuGraph2
from naiad.applications.nugraph.nugraph2_model import MessagePassing, NuGraph2Net
from naiad.applications.nugraph.schema import INPUTS, PLANES
from naiad.applications.nugraph.weights import UBOONE_NORMALISATION
from naiad.weights import read_json

MEAN, STD = (400.0, 170.0, 150.0, 4.5), (200.0, 80.0, 200.0, 2.0)
# Without hits, spacepoints or edges wherever that is possible; and around a tile's 120 rows.
SHAPES = [
    ((0, 0, 0), 0),
    ((0, 0, 0), 5),
    ((1, 0, 0), 0),
    ((0, 2, 3), 4),
    ((12, 0, 7), 9),
    ((5, 4, 6), 0),
    ((40, 30, 50), 25),
    ((119, 120, 121), 240),
    ((241, 125, 360), 121),
]


def make_net(architecture: NuGraph2Architecture | None = None, scale: float = 2.0) -> NuGraph2Net:
    torch.manual_seed(5)
    net = NuGraph2Net(architecture)
    planes = net.arch.planes
    net.set_normalisation(dict.fromkeys(planes, MEAN), dict.fromkeys(planes, STD))
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 2:
                parameter.mul_(scale)  # so that features do not vanish in deep layers
    return net.eval()


def architectures() -> st.SearchStrategy[NuGraph2Architecture]:
    """Any sizes, of which few are a multiple of the vector width."""
    return st.builds(
        NuGraph2Architecture,
        semantic_classes=st.integers(1, 9),
        planar_features=st.integers(1, 70),
        nexus_features=st.integers(1, 40),
        num_iters=st.integers(1, 4),
    )


def batches() -> st.SearchStrategy[list[dict[str, np.ndarray]]]:
    events = st.builds(
        event,
        st.tuples(*[st.integers(0, 40)] * 3),
        st.integers(0, 130),
        seed=st.integers(0, 1000),
        missing=st.floats(0, 1),
    )
    return st.lists(events, min_size=1, max_size=4)


SMALL = make_net(
    NuGraph2Architecture(semantic_classes=3, planar_features=25, nexus_features=7, num_iters=3)
)


@pytest.fixture(scope="module")
def net() -> NuGraph2Net:
    return make_net()


@pytest.fixture(scope="module", params=instruction_sets())
def form(request):
    """Return the compiled form for each instruction set, which must equal the network."""
    return partial(CompiledNuGraph2.of, instructions=request.param)


@pytest.fixture(scope="module", params=["network", *instruction_sets()])
def forward(request, net):
    """Return each form of the network; all must behave alike."""

    def plain(batch, events):
        with torch.inference_mode():
            return net(batch, events)

    return plain if request.param == "network" else CompiledNuGraph2.of(net, request.param)


@pytest.fixture(scope="module")
def reference(shared_data):
    """Return the original code's input and output for a real event."""
    with np.load(shared_data / "nugraph2" / "golden_small.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def original(shared_data) -> NuGraph2Net:
    found = torch.load(shared_data / "nugraph2" / "random.ckpt", weights_only=True)
    net = NuGraph2Net()
    state = found["state_dict"]
    net.load_state_dict({k: v for k, v in state.items() if not k.endswith("_decoder.temp")})
    known = read_json(UBOONE_NORMALISATION, Normalisation)
    net.set_normalisation(known.mean, known.std)
    return net.eval()


@pytest.mark.parametrize("others", [[], [event(seed=1), event((90, 80, 130), 70, seed=2)]])
def test_a_real_event_is_labelled_as_by_the_original(original, reference, form, others):
    single = {name: reference[name] for name in INPUTS}
    batch = merge([*others, single])
    with torch.inference_mode():
        plain = original(batch, batch.requests)
    for outputs in (plain, form(original)(batch, batch.requests)):
        found = parts(outputs, batch)[-1]
        assert found.keys() == reference.keys() - INPUTS.keys()
        assert_close(found, {name: reference[name] for name in found})


def test_the_parameters_are_those_of_the_original():
    state = NuGraph2Net().state_dict()
    assert len(state) == 266
    assert sum(parameter.numel() for parameter in state.values()) == 360_888


@pytest.mark.parametrize("network", [NuGraph2Net(), SMALL])
def test_parameters_have_the_shapes_of_the_network(network):
    state = network.state_dict()
    assert parameter_shapes(network.arch) == {name: tuple(t.shape) for name, t in state.items()}


def test_the_answer_of_an_event_does_not_depend_on_its_batch(forward):
    events = [event(hits, points, seed=i) for i, (hits, points) in enumerate(SHAPES)]
    batch = merge(events)
    outputs = forward(batch, len(events))
    assert outputs.keys() == {f"x_{kind}_{p}" for kind in ("semantic", "filter") for p in PLANES}
    for single, share in zip(events, parts(outputs, batch), strict=True):
        assert_close(share, forward(merge([single]), 1))
        assert all(np.isfinite(array).all() for array in share.values())


@pytest.mark.parametrize(("hits", "points"), SHAPES)
def test_the_served_form_is_the_network(net, form, hits, points):
    batch = merge([event(hits, points, seed=1), event(hits, points, seed=2, missing=0.9)])
    with torch.inference_mode():
        assert_close(form(net)(batch, 2), net(batch, 2))


@pytest.mark.slow
@settings(max_examples=30)
@given(batches())
def test_any_batch_of_any_events_is_labelled_as_by_torch(batch_of):
    batch = merge(batch_of)
    with torch.inference_mode():
        expected = SMALL(batch, len(batch_of))
    for instructions in instruction_sets():
        form = CompiledNuGraph2.of(SMALL, instructions)
        found = form(batch, len(batch_of))
        assert_close(found, expected)
        for single, share in zip(batch_of, parts(found, batch), strict=True):
            alone = form(merge([single]), 1)
            for name, value in share.items():
                np.testing.assert_array_equal(value, alone[name])


@pytest.mark.slow
@settings(max_examples=20)
@given(architectures())
def test_a_network_of_any_size_is_compiled(arch):
    network = make_net(arch, 1.5)
    batch = merge([event((50, 3, 35), 40, seed=1), event((2, 12, 0), 9, seed=2)])
    with torch.inference_mode():
        expected = network(batch, 2)
    for instructions in instruction_sets():
        assert_close(CompiledNuGraph2.of(network, instructions)(batch, 2), expected)


@pytest.mark.parametrize("scale", [6.0, 30.0])
def test_gates_of_very_different_classes_are_still_right(form, scale):
    """The exponential of a class's score overflows, and underflows beside another's."""
    network = make_net(scale=1.0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "edge_net" in name:
                parameter.mul_(scale**2)
    batch = merge([event((40, 30, 50), 60, seed=4)])
    with torch.inference_mode():
        expected = network(batch, 1)
    found = form(network)(batch, 1)
    for name, value in expected.items():
        assert torch.isfinite(value).all()
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-3)


def test_hits_of_enormous_charge_are_still_right(net, form):
    arrays = event((40, 30, 50), 60, seed=4)
    arrays["hit_table_integral"][::7] = 1e6
    arrays["hit_table_integral"][1::7] = -1e6
    batch = merge([arrays])
    with torch.inference_mode():
        expected = net(batch, 1)
    assert_close(form(net)(batch, 1), expected)


def test_the_order_of_hits_and_spacepoints_carries_no_meaning(forward):
    arrays = event((25, 20, 30), 40, seed=6)
    rng = np.random.default_rng(0)
    hits, points = rng.permutation(75), rng.permutation(40)
    shuffled = {
        name: column[hits if name.startswith("hit_table") else points]
        for name, column in arrays.items()
    }
    expected, found = forward(merge([arrays]), 1), forward(merge([shuffled]), 1)
    plane = arrays["hit_table_local_plane"]
    for index, name in enumerate(PLANES):
        row = np.cumsum(plane == index) - 1  # of each hit in its plane's original order
        moved = row[hits[plane[hits] == index]]
        for kind in ("semantic", "filter"):
            key = f"x_{kind}_{name}"
            np.testing.assert_allclose(found[key], expected[key][moved], rtol=1e-4, atol=1e-4)


def test_edges_and_spacepoints_may_be_in_any_order(net, form):
    batch = dict(merge([event((30, 20, 25), 40, seed=i) for i in range(3)]))
    expected = form(net)(batch, 3)
    rng = torch.Generator().manual_seed(0)
    for name, values in batch.items():
        if "_edge_" in name:
            batch[name] = values[:, torch.randperm(values.shape[1], generator=rng)]
    order = torch.randperm(120, generator=rng)
    batch["sp_event"] = batch["sp_event"][order]
    for plane in PLANES:
        hit, point = batch[f"nexus_edge_{plane}"]
        batch[f"nexus_edge_{plane}"] = torch.stack((hit, order.argsort()[point]))
    assert_close(form(net)(batch, 3), expected)


@pytest.mark.parametrize("mean", [False, True])
def test_message_passing_is_the_published_formula(mean):
    """Computed per target and edge, without torch's scatter operations."""
    torch.manual_seed(0)
    passing = MessagePassing(3, 2, 4, 5, mean=mean)
    xs, xt = torch.randn(5, 5, 3), torch.randn(4, 5, 2)
    src, dst = torch.tensor([0, 1, 4, 2, 2, 3]), torch.tensor([0, 0, 0, 1, 3, 3])
    rows = []
    for target in range(4):
        messages = [
            passing.edge_net(torch.cat((xt[target], xs[s]), dim=1)[None])[0] * xs[s]
            for s, d in zip(src.tolist(), dst.tolist(), strict=True)
            if d == target
        ]
        received = torch.zeros(5, 3)
        if messages:
            received = torch.stack(messages).mean(dim=0) if mean else sum(messages)
        rows.append(passing.node_net(torch.cat((xt[target], received), dim=1)[None])[0])
    torch.testing.assert_close(passing(xs, xt, src, dst), torch.stack(rows))


def test_every_parameter_learns():
    batch = merge([event((15, 12, 14), 20, seed=i) for i in range(3)])
    trained = make_net().train()
    outputs = trained(batch, 3)
    sum(output.square().mean() for output in outputs.values()).backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_served_form_copies_the_weights(form):
    changed = make_net()
    served = form(changed)
    batch = merge([event()])
    before = served(batch, 1)["x_semantic_u"].copy()
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.zero_()
        changed.set_normalisation(dict.fromkeys(PLANES, STD), dict.fromkeys(PLANES, MEAN))
    np.testing.assert_array_equal(served(batch, 1)["x_semantic_u"], before)


@pytest.mark.parametrize("change", [lambda w: w[:-1], lambda w: np.append(w, w[:1])])
def test_another_number_of_weights_is_refused(monkeypatch, change):
    arrange = nugraph2_compiled.arrange
    monkeypatch.setattr(nugraph2_compiled, "arrange", lambda *args: change(arrange(*args)))
    with pytest.raises(RuntimeError, match="weights"):
        CompiledNuGraph2.of(SMALL)


OUT_OF_MEMORY = """
import resource
from pathlib import Path
import numpy as np
from naiad.applications.nugraph.card import NuGraph2Architecture
from naiad.applications.nugraph.nugraph2_arrangement import parameter_shapes
from naiad.applications.nugraph.nugraph2_compiled import CompiledNuGraph2

arch = NuGraph2Architecture()
state = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(arch).items()}
planes = dict.fromkeys(arch.planes, (1.0,) * 4)
net = CompiledNuGraph2(arch, state, planes, planes)

def batch(hits):
    empty = np.empty((2, 0), np.int64)
    edges = {f"{k}_edge_{p}": empty for k in ("plane", "nexus") for p in arch.planes}
    x = {f"x_{p}": np.zeros((hits, 4), np.float32) for p in arch.planes}
    return {**x, **edges, "sp_event": np.empty(0, np.int64)}

large = batch(100_000)  # needs some 900 MB
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000, resource.RLIM_INFINITY))
try:
    net(large, 1)
except MemoryError as error:
    print(error)
assert np.isfinite(net(batch(1_000), 1)["x_semantic_u"]).all()
"""


def test_a_batch_without_memory_for_it_is_refused_and_the_next_is_labelled():
    done = subprocess.run([sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "not enough memory to label 300000 hits and 0 spacepoints at once\n"
