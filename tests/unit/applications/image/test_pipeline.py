"""The ``image`` pipeline: top classes, batches, and bad requests beside good ones."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.unit.applications.image.classifiers import LABELS, expected, write_labels, write_onnx
from tests.unit.applications.image.test_decode import encoded

from naiad.applications.image.card import SCALINGS
from naiad.applications.image.importing import import_network
from naiad.applications.image.pipeline import ImageClassifier
from naiad.applications.image.schema import INPUTS, SHAPES, as_request
from naiad.applications.image.shapes import draw
from naiad.core.pipeline import Request
from naiad.core.schema import fill_defaults, validate
from naiad.errors import InvalidInput
from naiad.runtime.runner import Runner


@cache
def shapes_runner() -> Runner:
    return Runner(ImageClassifier())


def request(images, top=None) -> Request:
    arrays = as_request(images, top or 1)
    if top is None:
        del arrays["top"]
    sizes = validate(INPUTS, arrays)
    return Request(fill_defaults(INPUTS, arrays, sizes), sizes)


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    image = draw(SHAPES[seed % len(SHAPES)], rng, size=40 + seed % 7)
    return encoded(image, "JPEG" if seed % 2 else "PNG")


@pytest.fixture(scope="module")
def mean(tmp_path_factory):
    """A classifier with known answers, of 6 x 4 pixels."""
    folder = tmp_path_factory.mktemp("mean")
    network = write_onnx(folder / "net.onnx", ["n", 3, 6, 4])
    labels = write_labels(folder / "names.txt")
    import_network(network, labels, folder / "weights", scaling=SCALINGS["unit"])
    return Runner(ImageClassifier(folder / "weights"))


def test_the_best_classes_come_first_with_their_numbers_and_names(mean):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 4, 3), np.uint8)
    (answer,) = mean.run([request([encoded(Image.fromarray(p)) for p in pixels], 3)]).outcomes
    wanted = expected(pixels)
    order = np.argsort(-wanted, axis=1)[:, :3]
    np.testing.assert_array_equal(answer["classes"], order)
    np.testing.assert_allclose(answer["scores"], np.take_along_axis(wanted, order, 1), rtol=1e-5)
    assert answer["labels"].tolist() == [[LABELS[c].encode() for c in row] for row in order]


def test_of_equal_scores_the_lower_number_comes_first(mean):
    grey = encoded(Image.new("RGB", (6, 4), (9, 9, 9)))
    (answer,) = mean.run([request([grey])]).outcomes
    assert answer["classes"].tolist() == [[3, 0, 1, 2]]


@pytest.mark.parametrize(("top", "given"), [(1, 1), (4, 4), (99, 4), (None, 4)])
def test_no_more_classes_are_given_than_there_are(mean, top, given):
    (answer,) = mean.run([request([encoded(Image.new("RGB", (6, 4)))], top)]).outcomes
    assert answer["scores"].shape == (1, given)


def test_a_request_of_no_image_gets_no_answer_but_an_empty_one(mean):
    answer, other = mean.run([request([], 2), request([picture(1)], 2)]).outcomes
    assert answer["labels"].shape == (0, 2)
    assert other["labels"].shape == (1, 2)


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 12)), min_size=1, max_size=6),
    st.integers(0, 1000),
)
def test_answers_do_not_depend_on_what_else_is_in_the_batch(sizes, seed):
    runner = shapes_runner()
    requests = [
        request([picture(seed + 7 * n + i) for i in range(images)], top)
        for n, (images, top) in enumerate(sizes)
    ]
    together = runner.run(requests).outcomes
    for one, answer in zip(requests, together, strict=True):
        (alone,) = runner.run([one]).outcomes
        np.testing.assert_allclose(answer["scores"], alone["scores"], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(answer["classes"], alone["classes"])


def test_a_bad_image_fails_its_own_request_and_no_other():
    requests = [
        request([picture(1), b"nonsense"], 2),
        request([picture(2)], 2),
        request([], 2),
        request([picture(3)[:200], picture(4)], 2),
    ]
    first, second, third, fourth = shapes_runner().run(requests).outcomes
    assert isinstance(first, InvalidInput)
    assert str(first).startswith("images[1] is not a readable image")
    assert second["labels"].shape == (1, 2)
    assert third["labels"].shape == (0, 2)
    assert isinstance(fourth, InvalidInput)
    assert str(fourth).startswith("images[0] is a damaged JPEG")


def test_the_example_is_seen_for_what_it_is():
    pipeline = ImageClassifier()
    example = pipeline.example()
    sizes = validate(INPUTS, example)
    (answer,) = shapes_runner().run([Request(example, sizes)]).outcomes
    assert answer["labels"][0, 0] == b"star"


def test_the_weights_that_come_along_know_the_shapes_and_say_what_they_are():
    rng = np.random.default_rng(99)
    right = 0
    for shape in SHAPES:
        images = [encoded(draw(shape, rng)) for _ in range(2)]
        (answer,) = shapes_runner().run([request(images, 1)]).outcomes
        right += (answer["labels"] == shape.encode()).sum()
    assert right >= 0.8 * 2 * len(SHAPES)
    notice = ImageClassifier().metadata()["notice"]
    assert notice == "trained on generated shapes, not on photographs"
