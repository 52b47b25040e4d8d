"""TensorFlow models of a usual Triton repository, on the embedded engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.support.tensorflow import (
    CLASSES,
    INCEPTION_OUTPUT,
    SIDE,
    add_sub,
    inception,
    needs_tensorflow,
    run_graph,
    run_saved,
    save_words,
    write_graph,
)
from tritonclient.grpc import model_config_pb2

import naiad
from naiad import testing
from naiad.triton.lint.repository import check_repository
from naiad.triton.server import Server

pytestmark = needs_tensorflow

INCEPTION = "inception_graphdef"
# As in Triton's example repository: the graph is frozen for one image.
INCEPTION_CONFIG = """name: "inception_graphdef"
platform: "tensorflow_graphdef"
max_batch_size: 128
input [ { name: "input" data_type: TYPE_FP32 format: FORMAT_NHWC dims: [299, 299, 3] } ]
output [ { name: "InceptionV3/Predictions/Softmax" data_type: TYPE_FP32 dims: [1001]
           label_filename: "inception_labels.txt" } ]
dynamic_batching { max_queue_delay_microseconds: 100000 }
"""
SIMPLE_CONFIG = """platform: "tensorflow_graphdef"
max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [16] },
        { name: "INPUT1" data_type: TYPE_INT32 dims: [16] } ]
output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [16] },
         { name: "OUTPUT1" data_type: TYPE_INT32 dims: [16] } ]
"""


def write_repository(root: Path) -> Path:
    for name, text in ((INCEPTION, INCEPTION_CONFIG), ("simple", SIMPLE_CONFIG)):
        (root / name).mkdir(parents=True)
        (root / name / "config.pbtxt").write_text(text)
    labels = "\n".join(f"label {number}" for number in range(CLASSES))
    (root / INCEPTION / "inception_labels.txt").write_text(labels)
    write_graph(root / INCEPTION / "1" / "model.graphdef", partial(inception, images=1))
    write_graph(root / "simple" / "1" / "model.graphdef", add_sub)
    save_words(root / "words" / "1" / "model.savedmodel")
    return root


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = write_repository(tmp_path_factory.mktemp("tensorflow") / "models")
    with testing.serve(model_repository=repository) as running:
        running.repository = repository
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> naiad.Client:
    return server.client()


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, SIDE, SIDE, 3)).astype(np.float32)


def by_tensorflow(server: Server, image: np.ndarray) -> np.ndarray:
    file = server.repository / INCEPTION / "1" / "model.graphdef"
    return run_graph(file, {"input": image}, [INCEPTION_OUTPUT])[0]


@pytest.mark.parametrize("library", [triton_grpc, triton_http])
@pytest.mark.parametrize("count", [1, 3])
def test_an_image_client_gets_score_index_and_label(server: Server, library: Any, count: int):
    """Like Triton's image client: read metadata and config, and ask for the best classes."""
    url = server.grpc_url if library is triton_grpc else server.http_url.removeprefix("http://")
    given = images(count)
    with library.InferenceServerClient(url) as client:
        metadata, config = client.get_model_metadata(INCEPTION), client.get_model_config(INCEPTION)
        if library is triton_grpc:
            assert config.config.max_batch_size == 128
            assert config.config.input[0].format == model_config_pb2.ModelInput.FORMAT_NHWC
            (tensor,) = metadata.inputs
            assert [tensor.name, *tensor.shape] == ["input", -1, SIDE, SIDE, 3]
        sent = library.InferInput("input", given.shape, "FP32")
        sent.set_data_from_numpy(given)
        wanted = library.InferRequestedOutput(INCEPTION_OUTPUT, class_count=3)
        answer = client.infer(INCEPTION, [sent], outputs=[wanted]).as_numpy(INCEPTION_OUTPUT)
    assert answer.shape == (count, 3)
    for row, image in zip(answer, given, strict=True):
        (expected,) = by_tensorflow(server, image[None])
        for text, index in zip(row, np.argsort(-expected, kind="stable")[:3], strict=True):
            score, number, label = text.decode().split(":")
            assert (int(number), label) == (index, f"label {index}")
            assert float(score) == pytest.approx(expected[index], rel=1e-4)


def test_one_image_gets_the_bits_of_tensorflow(server: Server, client: naiad.Client):
    given = images(1, seed=3)
    answer = client.infer(INCEPTION, input=given)[INCEPTION_OUTPUT]
    assert np.array_equal(answer, by_tensorflow(server, given))


def test_images_that_triton_batches_are_run_once(server: Server, client: naiad.Client):
    before = batches(server)
    given = [images(1, seed=seed) for seed in range(6)]
    with ThreadPoolExecutor(len(given)) as pool:
        answers = list(pool.map(lambda one: client.infer(INCEPTION, input=one), given))
    for image, answer in zip(given, answers, strict=True):
        expected = by_tensorflow(server, image)
        np.testing.assert_allclose(answer[INCEPTION_OUTPUT], expected, rtol=1e-5)
    assert batches(server) - before < len(given)


def batches(server: Server) -> int:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        (stats,) = client.get_inference_statistics(INCEPTION).model_stats
    return int(stats.execution_count)


def test_a_saved_model_without_a_config_is_completed(server: Server, client: naiad.Client):
    config = client.config("words")
    assert (config["platform"], config["max_batch_size"]) == ("tensorflow_savedmodel", 4)
    assert "dynamic_batching" in config
    words = np.array([[b"one", "zwölf".encode()], [b"", b"two"]], dtype=object)
    expected = run_saved(server.repository / "words" / "1" / "model.savedmodel", {"words": words})
    answer = client.infer("words", words=words)
    for name, array in expected.items():
        assert np.array_equal(answer[name].reshape(array.shape), array), name


def test_a_graph_of_integers_answers(client: naiad.Client):
    a = np.arange(32, dtype=np.int32).reshape(2, 16)
    answer = client.infer("simple", INPUT0=a, INPUT1=np.ones_like(a))
    assert np.array_equal(answer["OUTPUT0"], a + 1)
    assert np.array_equal(answer["OUTPUT1"], a - 1)


def test_check_finds_nothing_but_that_simple_is_not_merged(server: Server):
    findings = check_repository(server.repository).models
    assert findings[INCEPTION] == findings["words"] == ()
    (only,) = findings["simple"]
    assert "max_batch_size is 8 without dynamic_batching" in only.message
