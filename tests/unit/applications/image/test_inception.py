"""Any classifier of 299 x 299 pixels under the contract of inception_graphdef."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.applications.image.classifiers import WEIGHT, expected, write_labels, write_onnx

from naiad.applications.image.card import SCALINGS
from naiad.applications.image.importing import import_network
from naiad.applications.image.inception import CLASSES, OUTPUT, InceptionGraphDef
from naiad.applications.image.schema import SHAPES
from naiad.core.pipeline import Request
from naiad.core.schema import validate
from naiad.errors import WeightsError
from naiad.runtime.runner import Runner
from naiad.triton.config import model_config, read_config
from naiad.triton.repository import export


def weights(folder: Path, classes: int, side: int = 299) -> Path:
    """A classifier of so many classes; those beyond four have scores of their own."""
    rng = np.random.default_rng(classes)
    more = rng.uniform(-1, 1, (3, max(0, classes - 4))).astype(np.float32)
    weight = np.concatenate([WEIGHT, more], axis=1)[:, :classes]
    network = write_onnx(folder / "net.onnx", ["n", side, side, 3], weight=weight)
    labels = write_labels(folder / "l.txt", tuple(f"label {n}" for n in range(classes)))
    import_network(network, labels, folder / "weights", scaling=SCALINGS["unit"])
    return folder / "weights"


def ask(pipeline: InceptionGraphDef, images: np.ndarray) -> np.ndarray:
    arrays = {"input": images}
    (answer,) = Runner(pipeline).run([Request(arrays, validate(pipeline.inputs, arrays))]).outcomes
    assert answer[OUTPUT].dtype == np.float32
    return answer[OUTPUT]


def test_the_config_is_the_contract():
    config = model_config(InceptionGraphDef, {})
    (given,), (output,) = config.input, config.output
    assert (config.name, config.max_batch_size) == ("inception_graphdef", 128)
    assert (given.name, list(given.dims)) == ("input", [299, 299, 3])
    assert given.Format.Name(given.format) == "FORMAT_NHWC"
    assert (output.name, list(output.dims)) == ("InceptionV3/Predictions/Softmax", [1001])


@pytest.mark.parametrize(("classes", "first"), [(4, 1), (1000, 1), (1001, 0)])
def test_classes_stand_where_clients_expect_them(tmp_path, classes, first):
    pipeline = InceptionGraphDef(weights(tmp_path, classes))
    labels = pipeline.labels()[OUTPUT]
    assert len(labels) == CLASSES
    assert list(labels[first : first + classes]) == [f"label {n}" for n in range(classes)]
    images = np.random.default_rng(0).uniform(-1, 1, (2, 299, 299, 3)).astype(np.float32)
    scores = ask(pipeline, images)
    assert scores.shape == (2, CLASSES)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-4)
    assert (np.delete(scores, range(first, first + classes), axis=1) == 0).all()
    if classes == 4:
        wanted = expected((images + 1) * 127.5)
        np.testing.assert_allclose(scores[:, 1:5], wanted, rtol=1e-4)


def test_the_weights_that_come_along_have_labels_that_are_not_imagenets(tmp_path):
    model = export(InceptionGraphDef, tmp_path)
    (output,) = read_config(model.path / "config.pbtxt").output
    labels = (model.path / output.label_filename).read_text().splitlines()
    assert labels[0] == "(no class 0)"
    assert labels[1:11] == list(SHAPES)
    assert labels[11:] == [f"(no class {n})" for n in range(11, 1001)]
    assert model.notice == "trained on generated shapes, not on photographs"


def test_networks_that_cannot_answer_under_it_are_refused_at_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(WeightsError, match=r"takes 224 x 224 pixels, .* serve it as image"):
        export(InceptionGraphDef, tmp_path / "m", weights=weights(tmp_path / "a", 4, 224))
    with pytest.raises(WeightsError, match=r"1,002 classes, .* has 1,001; serve it as image"):
        export(InceptionGraphDef, tmp_path / "m", weights=weights(tmp_path / "b", 1002))
