"""The network answers as the original does, in any batch, and can be trained."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from tests.unit.applications.nugraph.graphs import (
    assert_close,
    event,
    golden,
    golden_event,
    merge,
    parts,
)

from naiad.applications.nugraph.compiled import CompiledNuGraph3
from naiad.applications.nugraph.model import Block, NuGraph3Net
from naiad.applications.nugraph.native_library import instruction_sets
from naiad.applications.nugraph.schema import OUTPUTS, PLANES
from naiad.applications.nugraph.weights import import_checkpoint, load_weights

NORMALISATION = (
    dict.fromkeys(PLANES, (400.0, 170.0, 150.0, 4.5)),
    dict.fromkeys(PLANES, (200.0, 80.0, 200.0, 2.0)),
)
# Without hits, spacepoints or edges wherever that is possible.
SHAPES = [
    ((0, 0, 0), 0),
    ((0, 0, 0), 5),
    ((1, 0, 0), 0),
    ((0, 2, 3), 4),
    ((12, 0, 7), 9),
    ((5, 4, 6), 0),
    ((40, 30, 50), 25),
    # Around a tile's 120 rows.
    ((119, 120, 121), 240),
    ((241, 125, 360), 121),
]


def make_net(scale: float = 1.0) -> NuGraph3Net:
    torch.manual_seed(5)
    net = NuGraph3Net()
    net.set_normalisation(*NORMALISATION)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".net." in name and parameter.dim() == 2:
                parameter.mul_(scale)
    return net.eval()


@pytest.fixture(scope="module")
def net() -> NuGraph3Net:
    # Doubled, so that features neither vanish nor explode in 30 layers.
    return make_net(2.0)


@pytest.fixture(scope="module", params=instruction_sets())
def form(request):
    """Return the compiled form for each instruction set, which must equal the network."""
    return partial(CompiledNuGraph3.of, instructions=request.param)


@pytest.fixture(scope="module", params=["network", *instruction_sets()])
def forward(request, net):
    """Return each form of the network; all must behave alike."""

    def plain(batch, events):
        with torch.inference_mode():
            return net(batch, events)

    return plain if request.param == "network" else CompiledNuGraph3.of(net, request.param)


@pytest.fixture(scope="module")
def original(shared_data, tmp_path_factory) -> NuGraph3Net:
    folder = tmp_path_factory.mktemp("weights")
    import_checkpoint(shared_data / "nugraph3" / "hierarchical.ckpt", folder)
    return load_weights(folder)[0]


def test_a_real_event_is_labelled_by_the_network_as_by_the_original(original, shared_data):
    reference = golden(shared_data)
    with torch.inference_mode():
        outputs = original(merge([golden_event(reference)]), 1)
    assert_close(outputs, {name: reference[name] for name in outputs})


def test_a_real_event_is_labelled_as_by_the_original(original, shared_data, form):
    reference = golden(shared_data)
    outputs = form(original)(merge([golden_event(reference)]), 1)
    assert_close(outputs, {name: reference[name] for name in outputs})


def test_the_parameters_are_those_of_the_original():
    state = NuGraph3Net().state_dict()
    assert len(state) == 88
    assert sum(parameter.numel() for parameter in state.values()) == 295_818


def test_the_answer_of_an_event_does_not_depend_on_its_batch(forward):
    events = [event(hits, points, seed=i) for i, (hits, points) in enumerate(SHAPES)]
    batch = merge(events)
    outputs = forward(batch, len(events))
    assert outputs.keys() == OUTPUTS.keys() - {"unknown_hits"}
    for single, share in zip(events, parts(outputs, batch), strict=True):
        assert_close(share, forward(merge([single]), 1))
        assert all(np.isfinite(array).all() for array in share.values())


@pytest.mark.parametrize(("hits", "points"), SHAPES)
def test_the_served_form_is_the_network(net, form, hits, points):
    batch = merge([event(hits, points, seed=1), event(hits, points, seed=2, missing=0.9)])
    with torch.inference_mode():
        assert_close(form(net)(batch, 2), net(batch, 2))


@pytest.mark.parametrize("scale", [6.0, 12.0])
def test_features_that_overflow_an_exponential_are_still_right(form, scale):
    """exp(89) is infinite in float32; the original subtracts the maximum first."""
    net = make_net(scale)
    batch = merge([event((40, 30, 50), 60, seed=4)])
    with torch.inference_mode():
        expected, found = net(batch, 1), form(net)(batch, 1)
    assert expected["v_evt"].abs().max() > 1e3
    assert_equal_in_scale(found, expected)


def test_hits_of_enormous_charge_are_still_right(net, form):
    arrays = event((40, 30, 50), 60, seed=4)
    arrays["hit_table_integral"][::7] = 1e6
    arrays["hit_table_integral"][1::7] = -1e6
    batch = merge([arrays])
    with torch.inference_mode():
        expected, found = net(batch, 1), form(net)(batch, 1)
    assert_equal_in_scale(found, expected)


def test_features_whose_exponentials_all_vanish_are_still_right(form):
    """exp(-104) is 0 in float32, so a mean with these weights would be 0."""
    net = make_net(2.0)
    with torch.no_grad():
        for plane in PLANES:
            net.encoder.lins[plane].bias.fill_(-400)
        for block in net.core_net.plane_net:
            block.first.weight.mul_(0.02)  # so that nothing overflows afterwards
    batch = merge([event((40, 30, 50), 60, seed=4)])
    with torch.inference_mode():
        assert_equal_in_scale(form(net)(batch, 1), net(batch, 1))


def assert_equal_in_scale(found, expected):
    for name, value in expected.items():
        assert torch.isfinite(value).all()
        scale = float(value.abs().max())
        torch.testing.assert_close(
            torch.as_tensor(found[name]), value, rtol=1e-4, atol=1e-4 * scale
        )


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
        # Row of each shuffled hit in the plane's original order.
        row = np.cumsum(plane == index) - 1
        moved = row[hits[plane[hits] == index]]
        for kind in ("semantic", "filter"):
            key = f"x_{kind}_{name}"
            np.testing.assert_allclose(found[key], expected[key][moved], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["e_evt"], expected["e_evt"], rtol=1e-4, atol=1e-4)


def test_a_block_is_the_published_formula():
    """Computed per target and channel, without torch's scatter operations."""
    torch.manual_seed(0)
    block = Block(3, 2, 4)
    xs, xt = torch.randn(5, 3), torch.randn(4, 2)
    src, dst = torch.tensor([0, 1, 4, 2, 2, 3]), torch.tensor([0, 0, 0, 1, 3, 3])
    rows = []
    for target in range(4):
        messages = [
            torch.sigmoid(block.edge_net[0](torch.cat((xt[target], xs[s])))) * xs[s]
            for s, d in zip(src.tolist(), dst.tolist(), strict=True)
            if d == target
        ]
        mean = torch.zeros(3)
        if messages:
            stacked = torch.stack(messages)
            mean = (stacked * stacked.softmax(dim=0)).sum(dim=0)
        rows.append(block.net(torch.cat((mean, xt[target]))))
    torch.testing.assert_close(block(xs, xt, src, dst), torch.stack(rows))


def test_a_single_edge_needs_no_softmax():
    torch.manual_seed(0)
    block, single = Block(3, 2, 4), Block(3, 2, 4, single=True)
    single.load_state_dict(block.state_dict())
    xs, xt = torch.randn(5, 3), torch.randn(4, 2)
    edges = torch.tensor([0, 0, 3]), torch.tensor([2, 0, 3])
    torch.testing.assert_close(single(xs, xt, *edges), block(xs, xt, *edges))


def test_every_parameter_learns(net):
    batch = merge([event((15, 12, 14), 20, seed=i) for i in range(3)])
    trained = make_net(2.0).train()
    outputs = trained(batch, 3)
    sum(output.square().mean() for output in outputs.values()).backward()
    for name, parameter in trained.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_served_form_copies_the_weights(net, form):
    changed = make_net(2.0)
    served = form(changed)
    batch = merge([event()])
    before = served(batch, 1)["e_evt"]
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.zero_()
        changed.set_normalisation(*NORMALISATION[::-1])
    np.testing.assert_array_equal(served(batch, 1)["e_evt"], before)
