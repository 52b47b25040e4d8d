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

from naiad.applications.image.card import SCALINGS, read_folder
from naiad.applications.image.importing import import_network
from naiad.applications.image.networks import open_classifier
from naiad.errors import WeightsError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), np.uint8)


@pytest.fixture
def bring(tmp_path):
    """Import a network; the folder it becomes, and its card."""

    def bring(network, labels=LABELS, **options):
        options.setdefault("scaling", SCALINGS["unit"])
        names = write_labels(tmp_path / "names.txt", labels)
        folder = tmp_path / "folder"
        card, _ = import_network(network, names, folder, **options)
        return folder, card

    return bring


def probabilities(folder):
    card, labels = read_folder(folder)
    return open_classifier(folder, card, len(labels), "cpu")(PIXELS)


@pytest.mark.parametrize("batch", ["n", 1, 2, 3])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("soft", [False, True])
def test_an_onnx_file_tells_its_size_its_layout_and_what_it_gives(
    tmp_path, bring, batch, layout, soft
):
    shape = [batch, 6, 4, 3] if layout == "NHWC" else [batch, 3, 6, 4]
    folder, card = bring(write_onnx(tmp_path / "net.onnx", shape, probabilities=soft))
    wanted = card.preprocessing
    assert (wanted.height, wanted.width, wanted.layout) == (6, 4, layout)
    assert card.output == ("probabilities" if soft else "logits")
    assert card.provenance == {"file": "net.onnx"}
    np.testing.assert_allclose(probabilities(folder), expected(PIXELS), rtol=1e-5)


def test_of_torchscript_the_size_is_said(tmp_path, bring):
    network = write_torchscript(tmp_path / "net.pt")
    with pytest.raises(WeightsError, match=r"net\.pt does not state the height .* give --size"):
        bring(network)
    folder, card = bring(network, size=(6, 4), scaling=SCALINGS["inception"])
    assert (card.file, card.preprocessing.layout) == ("model.pt", "NCHW")
    np.testing.assert_allclose(probabilities(folder), expected(PIXELS, 127.5, 127.5), rtol=1e-5)


def test_sizes_that_an_onnx_file_leaves_open_are_said(tmp_path, bring):
    network = write_onnx(tmp_path / "net.onnx", ["n", 3, "h", "w"])
    with pytest.raises(WeightsError, match="does not state the height"):
        bring(network)
    _, card = bring(network, size=(6, 4))
    assert (card.preprocessing.height, card.preprocessing.layout) == (6, "NCHW")
    unknown = write_onnx(tmp_path / "net.onnx", ["n", "c", "h", "w"])
    with pytest.raises(WeightsError, match=r"does not state the layout .* give --layout"):
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
        ({"labels": ()}, "has no labels"),
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
        ("net.h5", b"", r"must be an \.onnx file, or a \.pt"),
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
    with pytest.raises(WeightsError, match=r"does not run on images of shape .* returns 2 tensors"):
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
    folder, card = bring(
        write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]), crop=0.875, notice="a toy"
    )
    assert read_folder(folder) == (card, LABELS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "../evil.onnx"}, "file is '../evil.onnx'; it must be"),
        ({"output": "votes"}, r"Invalid enum value 'votes' - at `\$.output`"),
        ({"height": 0}, "height is 0; it must be 1 to 4096 pixels"),
        ({"layout": "CHW"}, r"Invalid enum value 'CHW' - at `\$.preprocessing.layout`"),
        ({"scaling": {"mean": [0, 0, 0], "std": [1, 0, 1]}}, "all must be above 0"),
        ({"scaling": {"mean": [0, 0], "std": [1, 1, 1]}}, r"length 3, got 2 - at `\$.preproc"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(tmp_path, bring, change, message):
    folder, card = bring(write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]))
    values = json.loads(card.to_json())
    (values if change.keys() <= values.keys() else values["preprocessing"]).update(change)
    (folder / "weights.json").write_text(json.dumps(values))
    with pytest.raises(WeightsError, match=message):
        read_folder(folder)


def test_a_single_file_is_no_folder_and_the_message_says_what_makes_one(tmp_path):
    with pytest.raises(WeightsError, match="`naiad weights import image` makes one"):
        read_folder(write_onnx(tmp_path / "net.onnx", ["n", 3, 6, 4]))
