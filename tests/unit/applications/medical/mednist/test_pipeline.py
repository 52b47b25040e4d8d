"""The model ``mednist_class`` answers requests, alone and in batches."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.exported import script
from tests.unit.applications.medical.mednist.test_pixels import GREY, encoded

from naiad.applications.medical.mednist import pipeline
from naiad.applications.medical.mednist.phantoms import draw, encode
from naiad.applications.medical.mednist.pipeline import MedNist
from naiad.applications.medical.mednist.schema import CLASSES, FOREIGN, NOTICE, as_request
from naiad.core.pipeline import Request, make_pipeline
from naiad.core.schema import validate
from naiad.errors import InvalidInput, PipelineError, WeightsError
from naiad.runtime.runner import Runner

RNG = np.random.default_rng(11)
PHANTOMS = {kind: [encode(draw(kind, RNG)) for _ in range(3)] for kind in CLASSES}
# Several sizes, so that some are alone with theirs in a batch.
IMAGES = [
    *(files[0] for files in PHANTOMS.values()),
    encode(draw("Hand", RNG, size=96)),
    encode(draw("CXR", RNG, size=48)),
    encoded(GREY),
]


@pytest.fixture(autouse=True, scope="module")
def no_downloaded_weights(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAIAD_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner(MedNist())


def request(*images: bytes) -> Request:
    arrays = as_request(images)
    return Request(arrays, validate(MedNist.inputs, arrays))


def test_openvino_answers_as_torch_does(runner):
    other = Runner(make_pipeline(MedNist, runtime="openvino"))
    asked = [request(*IMAGES), request(IMAGES[-1])]
    for one, two in zip(answers(runner, *asked), answers(other, *asked), strict=True):
        assert one["OUTPUT0"].tolist() == two["OUTPUT0"].tolist()
        np.testing.assert_allclose(one["SCORES"], two["SCORES"], atol=1e-5)


def answers(runner: Runner, *requests: Request) -> list:
    return runner.run(requests).outcomes


def test_the_weights_that_come_along_know_their_phantoms_and_say_what_they_are(runner):
    assert runner.pipeline.metadata() == {"notice": NOTICE}
    assert NOTICE == "trained on synthetic phantoms, not for diagnosis"
    for kind, files in PHANTOMS.items():
        (found,) = answers(runner, request(*files))
        assert found["OUTPUT0"].tolist() == [kind.encode()] * 3
        assert found["SCORES"].shape == (3, 6)
        np.testing.assert_allclose(found["SCORES"].sum(1), 1, atol=1e-5)


@pytest.fixture(scope="module")
def alone(runner) -> list:
    return [answers(runner, request(image))[0] for image in IMAGES]


@settings(max_examples=25)
@given(
    groups=st.lists(st.lists(st.integers(0, len(IMAGES) - 1), max_size=5), min_size=1, max_size=4),
    pixels=st.sampled_from([1, 5000, 1 << 20]),
)
def test_results_do_not_depend_on_how_images_were_batched(runner, alone, groups, pixels):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_FORWARD", pixels)
        found = answers(runner, *(request(*(IMAGES[i] for i in group)) for group in groups))
    for group, answer in zip(groups, found, strict=True):
        assert answer["OUTPUT0"].tolist() == [alone[i]["OUTPUT0"][0] for i in group]
        expected = np.array([alone[i]["SCORES"][0] for i in group]).reshape(-1, 6)
        np.testing.assert_allclose(answer["SCORES"], expected, atol=1e-5)


def test_a_bad_image_fails_its_own_request_and_no_other(runner):
    good, bad = request(IMAGES[0]), request(IMAGES[1], b"GIF89a")
    first, second, third = answers(runner, good, bad, good)
    assert isinstance(second, InvalidInput)
    assert (
        str(second)
        == "INPUT0[1, 0] is a GIF; it must be a whole JPEG, PNG, WebP, TIFF, AVIF or HEIC"
    )
    assert first["OUTPUT0"][0] == third["OUTPUT0"][0] == CLASSES[0].encode()


class Bright(torch.nn.Module):
    """Logits by the brightness of the first axis's ends, for a limited number of classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, last = x[:, 0, 0].mean(1), x[:, 0, -1].mean(1)
        rest = torch.zeros(len(x), self.classes - 2)
        return torch.cat([first[:, None], last[:, None], rest], 1)


def test_any_torchscript_is_served_from_a_folder_or_a_file(tmp_path):
    path = script(Bright(6), tmp_path / "extracted" / "sub" / "model.pt")
    image = np.tile(np.linspace(0, 255, 50).astype(np.uint8), (40, 1))  # brighter to the right
    for weights in (path, tmp_path / "extracted"):
        runner = Runner(MedNist(weights))
        assert runner.pipeline.metadata() == {"notice": FOREIGN}
        (found,) = answers(runner, request(encoded(image)))
        assert found["OUTPUT0"].tolist() == [CLASSES[1].encode()]


def test_a_network_of_other_classes_says_so(tmp_path):
    runner = Runner(MedNist(script(Bright(5), tmp_path / "model.pt")))
    (found,) = answers(runner, request(IMAGES[0]))
    assert isinstance(found, PipelineError)
    assert "returns [1, 5] for 1 images; it must return 6 logits for each" in str(found)


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "it has none"), (("a.pt", "b.ts"), "it has a.pt, b.ts"), (("c.pt",), "not TorchScript")],
)
def test_invalid_weights_are_refused(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_text("nothing")
    with pytest.raises(WeightsError, match=re.escape(message)):
        Runner(MedNist(tmp_path))
