"""Small TensorFlow models as files, made and run by TensorFlow itself.

TensorFlow is imported where it is used: it takes seconds, and is one of Naiad's larger extras.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None,
    reason="the extra tensorflow is not installed",
)

INCEPTION_OUTPUT = "InceptionV3/Predictions/Softmax"
SIDE, CLASSES = 299, 1001


@cache
def imported() -> Any:
    """Return the module, with one thread per operator, as Naiad's workers have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Keras and what it imports
        import tensorflow

    tensorflow.get_logger().setLevel("ERROR")
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    return tensorflow


def write_graph(path: Path, build: Callable[[Any], object]) -> Path:
    """Write the GraphDef of the operations that ``build`` makes of the module."""
    tf = imported()
    graph = tf.Graph()
    with graph.as_default():
        build(tf)
    path.parent.mkdir(parents=True, exist_ok=True)
    tf.io.write_graph(graph, str(path.parent), path.name, as_text=False)
    return path


def run_graph(path: Path, given: Mapping[str, np.ndarray], wanted: Sequence[str]) -> list[Any]:
    """Run a GraphDef by TensorFlow's own function for it."""
    tf = imported()
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(definition, name=""), [])
    pruned = wrapped.prune([f"{name}:0" for name in given], [f"{name}:0" for name in wanted])
    return [result.numpy() for result in pruned(*map(tf.constant, given.values()))]


def run_saved(path: Path, given: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Run a SavedModel's default signature."""
    tf = imported()
    run = tf.saved_model.load(str(path)).signatures["serving_default"]
    return {
        key: r.numpy() for key, r in run(**{k: tf.constant(v) for k, v in given.items()}).items()
    }


def inception(tf: Any, images: int | None = None) -> None:
    """Make a small network with Inception's tensors; ``images`` is the batch of its placeholder."""
    rng = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        return tf.constant(rng.normal(size=shape).astype(np.float32))

    given = tf.compat.v1.placeholder(tf.float32, [images, SIDE, SIDE, 3], name="input")
    wide = tf.nn.relu(tf.nn.conv2d(given, weights(7, 7, 3, 8), 7, "VALID"))
    deep = tf.nn.relu(tf.nn.conv2d(wide, weights(3, 3, 8, 16), 2, "SAME"))
    scores = tf.matmul(tf.reduce_mean(deep, [1, 2]), weights(16, CLASSES) / 16)
    tf.nn.softmax(scores, name=INCEPTION_OUTPUT)


def add_sub(tf: Any) -> None:
    """Make Triton's example ``simple``."""
    a, b = (tf.compat.v1.placeholder(tf.int32, [None, 16], name=f"INPUT{n}") for n in (0, 1))
    tf.add(a, b, name="OUTPUT0")
    tf.subtract(a, b, name="OUTPUT1")


def save_add_sub(path: Path) -> Path:
    """Write ``simple`` as a SavedModel."""
    tf = imported()
    rows = tf.TensorSpec([None, 16], tf.int32)

    class AddSub(tf.Module):
        @tf.function(input_signature=[rows, rows])
        def __call__(self, INPUT0: Any, INPUT1: Any) -> dict[str, Any]:  # noqa: N803
            return {"OUTPUT0": INPUT0 + INPUT1, "OUTPUT1": INPUT0 - INPUT1}

    return _save(tf, AddSub(), path)


def save_words(path: Path) -> Path:
    """Write a model of words: BYTES [n, 2], with a table, and several signatures and dtypes."""
    tf = imported()
    words = tf.TensorSpec([None, 2], tf.string)

    class Words(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            known = tf.lookup.KeyValueTensorInitializer(
                ["one", "two"], tf.constant([1, 2], tf.int64)
            )
            self.table = tf.lookup.StaticHashTable(known, -1)
            self.scale = tf.Variable(np.float32(0.5))

        @tf.function(input_signature=[words])
        def __call__(self, words: Any) -> dict[str, Any]:
            found = self.table.lookup(words)
            return {
                "loud": tf.strings.upper(words),
                "found": found,
                "known": found > 0,
                "length": self.scale * tf.cast(tf.strings.length(words), tf.float32),
                "count": tf.reduce_sum(found, axis=1),
            }

        @tf.function(input_signature=[words])
        def joined(self, words: Any) -> dict[str, Any]:
            return {"joined": tf.strings.reduce_join(words, axis=1, keepdims=True)}

    model = Words()
    return _save(tf, model, path, {"serving_default": model.__call__, "joined": model.joined})


def save_neighbours(path: Path) -> Path:
    """Write a pass: x FP32 [nodes, 8], edge_index INT64 [2, edges] to scores [nodes, 3]."""
    tf = imported()
    weights = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    nodes, edges = tf.TensorSpec([None, 8], tf.float32), tf.TensorSpec([2, None], tf.int64)

    class Neighbours(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(weights)

        @tf.function(input_signature=[nodes, edges])
        def __call__(self, x: Any, edge_index: Any) -> dict[str, Any]:
            own = x @ self.weights
            messages = tf.gather(own, edge_index[0])
            summed = tf.math.unsorted_segment_sum(messages, edge_index[1], tf.shape(x)[0])
            return {"scores": own + summed}

    return _save(tf, Neighbours(), path)


def _save(tf: Any, model: Any, path: Path, signatures: Any = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tf.saved_model.save(model, str(path), signatures=signatures or model.__call__)
    return path
