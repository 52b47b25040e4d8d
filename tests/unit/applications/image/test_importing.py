"""Networks that people bring: what their files tell, what must be said, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.unit.applications.image.classifiers import (
    LABELS,
    WEIGHT,
    Pair,
    expected,
    write_labels,
    write_onnx,
    write_torchscript,
)

from naiad.applications.image.facts import SCALINGS, Facts, read_folder
from naiad.applications.image.importing import import_network
from naiad.applications.image.networks import open_classifier
from naiad.errors import WeightsError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), np.uint8)


@pytest.fixture
def bring(tmp_path):
    """Import a network; the folder it becomes, and its facts."""

    def bring(network, labels=LABELS, **options):
        options.setdefault("scaling", SCALINGS["unit"])
        names = write_labels(tmp_path / "names.txt", labels)
        folder = tmp_path / "folder"
        facts, _ = import_network(network, names, folder, **options)
        return folder, facts

    return bring


def probabilities(folder):
    facts, labels = read_folder(folder)
    return open_classifier(folder, facts, len(labels), "cpu")(PIXELS)


@pytest.mark.parametrize("batch", ["n", 1, 2, 3])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("soft", [False, True])
def test_an_onnx_file_tells_its_size_its_layout_and_what_it_gives(
    tmp_path, bring, batch, layout, soft
):
    shape = [batch, 6, 4, 3] if layout == "NHWC" else [batch, 3, 6, 4]
    folder, facts = bring(write_onnx(tmp_path / "net.onnx", shape, probabilities=soft))
    wanted = facts.preprocessing
    assert (wanted.height, wanted.width, wanted.layout) == (6, 4, layout)
    assert facts.output == ("probabilities" if soft else "logits")
    assert facts.provenance == {"file": "net.onnx"}
    np.testing.assert_allclose(probabilities(folder), expected(PIXELS), rtol=1e-5)


def test_of_torchscript_the_size_is_said(tmp_path, bring):
    network = write_torchscript(tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=r"net\.pt does not tell the height .* give --size"):
        bring(network)
    folder, facts = bring(network, size=(6, 4), scaling=SCALINGS["inception"])
    assert (facts.file, facts.preprocessing.layout) == ("model.pt", "NCHW")
    np.testing.assert_allclose(probabilities(folder), expected(PIXELS, 127.5, 127.5), rtol=1e-5)


def test_sizes_that_an_onnx_file_leaves_open_are_said(tmp_path, bring):
    network = write_onnx(tmp_path / "net.onnx", ["n", 3, "h", "w"])
    with pytest.raises(WeightsError, match="does not tell the height"):
        bring(network)
    _, facts = bring(network, size=(6, 4))
    assert (facts.preprocessing.height, facts.preprocessing.layout) == (6, "NCHW")
    unknown = write_onnx(tmp_path / "net.onnx", ["n", "c", "h", "w"])
    with pytest.raises(WeightsError, match=r"does not tell the layout .* give --layout"):
        bring(unknown, size=(6, 4))
    assert bring(unknown, size=(6, 4), layout="NCHW")[1].preprocessing.layout == "NCHW"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (8, 4)}, "the height of its input is 6, not 8"),
        ({"layout": "NHWC"}, "the layout of its input is NCHW, not NHWC"),
        ({"crop": 1.5}, "crop is 1.5; it must be above 0 and at most 1"),
        ({"labels": LABELS[:3]}, "the network has 4 classes, but .* has 3 labels"),
        ({"labels": ("a", "", "b", "c")}, "line 2 is empty; it must be a label"),
        ({"labels": ()}, "holds no label"),
    ],
)
def test_what_contradicts_the_file_is_refused(tmp_path, bring, options, message):
    network = write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4])
    with pytest.raises(WeightsError, match=message):
        bring(network, **options)
    assert not (tmp_path / "folder").exists()


def test_what_is_no_network_is_refused(tmp_path, bring):
    for name, content, message in (
        ("net.onnx", b"nonsense", "cannot be loaded as ONNX"),
        ("net.pt", b"nonsense", "is not TorchScript"),
        ("net.h5", b"", r"is an \.onnx file, or \.pt"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            bring(path, size=(6, 4))
    with pytest.raises(WeightsError, match="no such file"):
        bring(tmp_path / "gone.onnx")


def test_a_network_that_is_no_classifier_is_refused(tmp_path, bring):
    two = write_onnx(tmp_path / "two.onnx", ["n", 3, 6, 4], inputs=2)
    with pytest.raises(WeightsError, match="inputs input, unused and outputs logits; a classifier"):
        bring(two)
    pair = write_torchscript(tmp_path / "pair.pt", Pair())
    with pytest.raises(WeightsError, match=r"does not run on images of shape .* gives a tuple"):
        bring(pair, size=(6, 4))
    nan = write_onnx(tmp_path / "nan.onnx", ["n", 3, 6, 4], weight=WEIGHT * np.nan)
    folder, _ = bring(nan)
    with pytest.raises(Exception, match="scores are not finite"):
        probabilities(folder)


def test_a_changed_network_is_not_loaded(tmp_path, bring):
    folder, _ = bring(write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]))
    write_onnx(folder / "model.onnx", ["n", 3, 6, 4], weight=2 * WEIGHT)
    with pytest.raises(WeightsError, match=r"model\.onnx: its sha256 is .* belong together"):
        probabilities(folder)


def test_a_folder_is_read_as_it_was_written(tmp_path, bring):
    folder, facts = bring(
        write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]), crop=0.875, notice="a toy"
    )
    assert read_folder(folder) == (facts, LABELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2; this Naiad reads format 1"),
        ({"file": "../evil.onnx"}, "file is '../evil.onnx'; it must be"),
        ({"output": "votes"}, "output is 'votes'; it must be logits or probabilities"),
        ({"preprocessing": {}}, "not the facts of an image classifier"),
        ({"more": 1}, "not the facts of an image classifier"),
    ],
)
def test_facts_that_are_none_are_refused(tmp_path, bring, change, message):
    folder, facts = bring(write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]))
    path = folder / "weights.json"
    path.write_text(json.dumps(json.loads(facts.to_json()) | change))
    with pytest.raises(WeightsError, match=message):
        read_folder(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 0}, "height is 0; it must be 1 to 4096 pixels"),
        ({"layout": "CHW"}, "layout is 'CHW'; it must be NHWC or NCHW"),
        ({"scaling": {"mean": [0, 0, 0], "std": [1, 0, 1]}}, "all must be above 0"),
        ({"scaling": {"mean": [0, 0], "std": [1, 1, 1]}}, "not the facts"),
    ],
)
def test_preprocessing_that_makes_no_sense_is_refused(tmp_path, bring, change, message):
    _, facts = bring(write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]))
    values = json.loads(facts.to_json())
    values["preprocessing"] |= change
    with pytest.raises(WeightsError, match=message):
        Facts.from_json(json.dumps(values))


def test_a_single_file_is_no_folder_and_the_message_says_what_makes_one(tmp_path):
    with pytest.raises(WeightsError, match="`naiad weights import image` makes one"):
        read_folder(write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]))
