"""Inception v3 under the contract of Triton's image clients, as a frozen TensorFlow graph."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from benchmarks.examples.case import Case, Way, Ways, within
from benchmarks.examples.repository import FREE, example_server
from numpy.typing import NDArray

import naiad
from naiad.applications.image.inception import CLASSES, OUTPUT, SIZE, InceptionGraphDef
from naiad.core.schema import Arrays

_IMAGES = 16
_CONFIG = f"""platform: "tensorflow_graphdef"
max_batch_size: 128
input [ {{ name: "input" data_type: TYPE_FP32 format: FORMAT_NHWC dims: [{SIZE}, {SIZE}, 3] }} ]
output [ {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: [{CLASSES}] }} ]
"""


def freeze(file: Path) -> None:
    """Write Inception v3 with random weights and the example's names of tensors."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    tf.keras.utils.set_random_seed(1)
    network = tf.keras.applications.InceptionV3(weights=None, classes=CLASSES)
    for layer in network.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.momentum = 0.0  # the statistics of what it sees last
    # Without these, answers would hardly depend on the image.
    network(np.stack([picture(seed) for seed in range(_IMAGES)]), training=True)

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name="input")])
    def run(images):
        return tf.identity(network(images, training=False), name=OUTPUT)

    frozen = convert_variables_to_constants_v2(run.get_concrete_function())
    file.write_bytes(frozen.graph.as_graph_def().SerializeToString())


def picture(seed: int) -> NDArray[np.float32]:
    """Make a picture of large coloured squares, since noise of all pixels averages out."""
    rng = np.random.default_rng(seed)
    side = 2 + 3 * seed
    squares = rng.uniform(-1, 1, (side, side, 3)).astype(np.float32)
    place = np.arange(SIZE) * side // SIZE
    return squares[place[:, None], place]


@contextmanager
def start(scratch: Path, small: bool) -> Iterator[Ways]:
    file = scratch / "repository" / InceptionGraphDef.name / "1" / "model.graphdef"
    file.parent.mkdir(parents=True)
    (file.parents[1] / "config.pbtxt").write_text(_CONFIG)
    freeze(file)
    requests: list[Arrays] = [
        {"input": picture(seed)[None]} for seed in range(2 if small else _IMAGES)
    ]
    with (
        example_server(
            "inception_graphdef", "graphdef.py", {"file": str(file)}, small=small
        ) as example,
        naiad.Server(scratch / "repository", **FREE) as ours,
    ):
        yield Ways(
            Way.plain(*example, requests),
            Way.plain(ours, InceptionGraphDef.name, requests),
            f"{len(requests)} invented pictures of {SIZE} x {SIZE} pixels, prepared by the client",
        )


CASES = (
    Case(
        "inception",
        "Inception v3, prepared images",
        "the frozen graph in TensorFlow, images one by one; Naiad serves the same file",
        start,
        within(1e-5, (OUTPUT, OUTPUT)),
        None,
        needs="tensorflow",
    ),
)
