"""Pictures of shapes, and a network that learns them."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from naiad.applications.image.card import read_folder
from naiad.applications.image.network import ShapeNet, fused
from naiad.applications.image.networks import open_classifier
from naiad.applications.image.schema import SHAPES
from naiad.applications.image.shapes import draw, simulated_requests
from naiad.applications.image.train import train


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_draws_the_same_picture(shape):
    first, second, other = (draw(shape, np.random.default_rng(seed), 64) for seed in (3, 3, 4))
    assert first.size == (64, 64)
    assert first.mode == "RGB"
    assert first.tobytes() == second.tobytes() != other.tobytes()


def test_simulated_requests_are_files_of_several_sizes():
    requests = list(simulated_requests(12, seed=1))
    assert len(requests) == 12
    sizes = {Image.open(BytesIO(request["images"][0])).size for request in requests}
    assert {(320, 240), (1280, 960)} <= sizes
    (again,) = simulated_requests(1, seed=1)
    assert again["images"][0] == requests[0]["images"][0]


def test_a_shape_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="'heart' is not one of circle, ring"):
        draw("heart", np.random.default_rng(0))


def test_the_fused_network_gives_what_the_trained_one_gives():
    torch.manual_seed(0)
    net = ShapeNet(4, normalised=True)
    net(torch.randn(8, 3, 64, 64))  # moves the averages
    x = torch.randn(3, 3, 48, 80)
    plain = fused(net)
    assert not any("running" in name for name in plain.state_dict())
    torch.testing.assert_close(plain(x), net.eval()(x), rtol=1e-3, atol=1e-5)


def test_training_writes_a_folder_that_can_be_served(tmp_path):
    seen = []
    card = train(
        tmp_path / "w", images=12, test_images=4, batch=4, progress=lambda n, _: seen.append(n)
    )
    assert seen == [4, 8, 12]
    found, labels = read_folder(tmp_path / "w")
    assert json.loads(found.to_json()) == json.loads(card.to_json())
    assert labels == SHAPES
    classifier = open_classifier(tmp_path / "w", found, len(labels), "cpu")
    probabilities = classifier(np.zeros((2, 299, 299, 3), np.uint8))
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
