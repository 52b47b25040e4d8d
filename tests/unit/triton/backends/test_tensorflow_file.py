"""TensorFlow files give the bits that TensorFlow gives, by the rules of NVIDIA's backend."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tests.support.tensorflow import (
    CLASSES,
    INCEPTION_OUTPUT,
    SIDE,
    add_sub,
    imported,
    inception,
    needs_tensorflow,
    run_graph,
    run_saved,
    save_add_sub,
    save_neighbours,
    save_words,
    write_graph,
)

from naiad.core.pipeline import Request
from naiad.core.schema import validate
from naiad.errors import PipelineError, RepositoryError
from naiad.runtime.runner import Report, Runner
from naiad.triton.backends.completion import completed
from naiad.triton.backends.exported import exported_pipeline
from naiad.triton.backends.models import load_model, tensorflow_options
from naiad.triton.backends.signature import Port, read_signature
from naiad.triton.model_config import ModelConfig

pytestmark = [needs_tensorflow, pytest.mark.slow]

INCEPTION = """platform: "tensorflow_graphdef" max_batch_size: 128
input { name: "input" data_type: TYPE_FP32 format: FORMAT_NHWC dims: [299, 299, 3] }
output { name: "InceptionV3/Predictions/Softmax" data_type: TYPE_FP32 dims: [1001] }
"""
SIMPLE = """platform: "tensorflow_PLATFORM" max_batch_size: 8
input [ { name: "INPUT0" data_type: TYPE_INT32 dims: [16] },
        { name: "INPUT1" data_type: TYPE_INT32 dims: [16] } ]
output [ { name: "OUTPUT0" data_type: TYPE_INT32 dims: [16] },
         { name: "OUTPUT1" data_type: TYPE_INT32 dims: [16] } ]
"""
GRAPH, SAVED = "model.graphdef", "model.savedmodel"


def save_graph(build):
    return lambda path: write_graph(path, build)


@pytest.fixture
def classifier(write) -> ModelConfig:
    return write(INCEPTION, save_graph(inception), GRAPH)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, SIDE, SIDE, 3)).astype(np.float32)


def run(config: ModelConfig, requests: list[dict[str, np.ndarray]]) -> Report:
    kind = exported_pipeline(config, "1")
    checked = [Request(arrays, validate(kind.inputs, arrays)) for arrays in requests]
    return Runner(kind(None)).run(checked)


@pytest.mark.parametrize("count", [1, 5])
def test_a_graph_gives_the_bits_of_tensorflow(classifier, count: int):
    given = images(count)
    answer = load_model(classifier, 1)({"input": given})[INCEPTION_OUTPUT]
    (expected,) = run_graph(classifier.model_file(1), {"input": given}, [INCEPTION_OUTPUT])
    assert answer.shape == (count, CLASSES)
    assert np.array_equal(answer, expected)


def test_a_graph_frozen_for_one_image_takes_batches(write):
    config = write(INCEPTION, save_graph(partial(inception, images=1)), GRAPH)
    given = images(3)
    answer = load_model(config, 1)({"input": given})[INCEPTION_OUTPUT]
    for row, image in zip(answer, given, strict=True):
        (alone,) = run_graph(config.model_file(1), {"input": image[None]}, [INCEPTION_OUTPUT])
        np.testing.assert_allclose(row, alone[0], rtol=1e-5)


def test_merged_requests_give_the_bits_of_tensorflow_on_the_merged_batch(classifier):
    requests = [{"input": images(count, seed=count)} for count in (1, 2, 1, 3)]
    report = run(classifier, requests)
    assert [batch["requests"] for batch in report.batches] == [4]
    merged = np.concatenate([request["input"] for request in requests])
    (expected,) = run_graph(classifier.model_file(1), {"input": merged}, [INCEPTION_OUTPUT])
    assert np.array_equal(
        np.concatenate([one[INCEPTION_OUTPUT] for one in report.outcomes]), expected
    )
    for request, outcome in zip(requests, report.outcomes, strict=True):
        (alone,) = run_graph(classifier.model_file(1), request, [INCEPTION_OUTPUT])
        np.testing.assert_allclose(outcome[INCEPTION_OUTPUT], alone, rtol=1e-5)


@pytest.mark.parametrize(
    ("platform", "save", "file"),
    [("graphdef", save_graph(add_sub), GRAPH), ("savedmodel", save_add_sub, SAVED)],
)
def test_sums_and_differences_wrap_around_as_in_c(write, platform: str, save, file: str):
    config = write(SIMPLE.replace("PLATFORM", platform), save, file)
    a = np.full((2, 16), 2**31 - 1, np.int32)
    answer = load_model(config, 1)(
        {"INPUT1": a, "INPUT0": np.arange(32, dtype=np.int32).reshape(2, 16)}
    )
    assert answer["OUTPUT0"][0, :3].tolist() == [2**31 - 1, -(2**31), -(2**31) + 1]
    assert answer["OUTPUT1"][0, :2].tolist() == [-(2**31) + 1, -(2**31) + 2]


def test_a_saved_model_has_strings_booleans_and_tables(write):
    config = completed_config(write("", save_words, SAVED))
    words = np.array([[b"one", b"zw\xc3\xb6lf\0"], [b"", b"two"]], dtype=object)
    answer = load_model(config, 1)({"words": words})
    expected = run_saved(config.model_file(1), {"words": words})
    assert answer.keys() == expected.keys() == {"loud", "found", "known", "length", "count"}
    for name, array in expected.items():
        assert np.array_equal(answer[name], array), name
    assert answer["loud"].tolist() == [[b"ONE", b"ZW\xc3\xb6LF\0"], [b"", b"TWO"]]
    assert answer["known"].dtype == bool


def completed_config(config: ModelConfig) -> ModelConfig:
    return completed(config, read_signature(config.model_file(1), config))


def test_a_saved_model_needs_no_config(write):
    config = completed_config(write("", save_words, SAVED))
    assert (config.backend, config.platform) == ("tensorflow", "tensorflow_savedmodel")
    assert config.max_batch_size == 4
    assert config.message.HasField("dynamic_batching")
    tensors = {t.name: (t.dtype, t.dims) for t in (*config.inputs, *config.outputs)}
    assert tensors == {
        "words": ("BYTES", (2,)),
        "loud": ("BYTES", (2,)),
        "found": ("INT64", (2,)),
        "known": ("BOOL", (2,)),
        "length": ("FP32", (2,)),
        "count": ("INT64", ()),
    }
    assert list(config.message.output[0].dims) == [1], "which is how Triton writes no dims"


def test_a_graph_is_not_completed(write):
    config = completed_config(write('platform: "tensorflow_graphdef"', save_graph(add_sub), GRAPH))
    assert (config.max_batch_size, config.inputs) == (0, ())
    with pytest.raises(RepositoryError, match=r"config.pbtxt: input is missing; give the name"):
        load_model(config, 1)


def test_another_signature_and_tag_can_be_chosen(write):
    text = 'parameters { key: "TF_SIGNATURE_DEF" value { string_value: "joined" } }'
    config = completed_config(write(text, save_words, SAVED))
    assert [tensor.name for tensor in config.outputs] == ["joined"]
    answer = load_model(config, 1)({"words": np.array([[b"a", b"b"]], dtype=object)})
    assert answer["joined"].tolist() == [[b"ab"]]
    for key, message in (
        ("TF_SIGNATURE_DEF", "has no signature 'other'; it has joined, serving_default"),
        ("TF_GRAPH_TAG", "cannot be loaded as a SavedModel: .*other"),
    ):
        text = f'parameters {{ key: "{key}" value {{ string_value: "other" }} }}'
        (config.path / "config.pbtxt").write_text(text)
        with pytest.raises(RepositoryError, match=message):
            read_signature(config.model_file(1), write(text, lambda path: None, SAVED))


def test_names_dtypes_and_shapes_are_those_of_the_file(write):
    config = write(INCEPTION, save_graph(inception), GRAPH)
    signature = read_signature(config.model_file(1), config)
    assert signature.inputs == (Port("input", "FP32", (-1, SIDE, SIDE, 3)),)
    assert (signature.outputs or ())[0] == Port(INCEPTION_OUTPUT, "FP32"), "the last comes first"


def test_a_saved_model_has_the_names_dtypes_and_shapes_of_its_signature(write):
    config = write("", save_neighbours, SAVED)
    signature = read_signature(config.model_file(1), config)
    assert signature.inputs == (Port("edge_index", "INT64", (2, -1)), Port("x", "FP32", (-1, 8)))
    assert signature.outputs == (Port("scores", "FP32", (-1, 3)),)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            '"input"',
            '"input:0"',
            "input[0].name is 'input:0'; TensorFlow's names have no ':0': wri",
        ),
        ('"input"', '"imput"', "input[0].name is 'imput'; the model takes 1: input; did you mean"),
        ("Predictions/", "Prediction/", f"did you mean '{INCEPTION_OUTPUT}'?"),
        ("FP32 dims: [1001]", "FP16 dims: [1001]", "output[0].data_type is TYPE_FP16; the model's"),
        ("FP32 format", "BF16 format", "input[0].data_type is TYPE_BF16, which the tensorflow"),
        (
            "[299, 299, 3]",
            "[224, 224, 3]",
            "input[0].dims is [224, 224, 3], [-1, 224, 224, 3] with",
        ),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_field(write, before, after, message):
    assert before in INCEPTION
    config = write(INCEPTION.replace(before, after), save_graph(inception), GRAPH)
    with pytest.raises(RepositoryError, match=re.escape(message)):
        load_model(config, 1)


def test_a_saved_model_of_a_fixed_batch_is_refused_with_max_batch_size(write):
    tf = imported()

    def save(path: Path) -> None:
        model = tf.Module()
        model.run = tf.function(
            lambda x: {"y": x}, input_signature=[tf.TensorSpec([2], tf.bool, "x")]
        )
        tf.saved_model.save(model, str(path), signatures=model.run)

    text = """max_batch_size: 4 input { name: "x" data_type: TYPE_BOOL dims: [2] }
    output { name: "y" data_type: TYPE_BOOL dims: [2] }"""
    with pytest.raises(RepositoryError, match="max_batch_size is 4, but the model's x has shape"):
        load_model(write(text, save, SAVED), 1)
    given = np.array([True, False])
    single = write(text.replace("max_batch_size: 4", ""), lambda path: None, SAVED)
    assert load_model(single, 1)({"x": given})["y"].tolist() == [True, False]


def folder_without_model(path: Path) -> None:
    path.mkdir()
    (path / "weights.h5").touch()


@pytest.mark.parametrize(
    ("platform", "file", "save", "message"),
    [
        ("graphdef", GRAPH, lambda p: p.write_text("node { }"), "is not a binary GraphDef"),
        ("graphdef", GRAPH, lambda p: p.write_bytes(b""), "has no operations"),
        ("savedmodel", SAVED, folder_without_model, "no saved_model.pb.*it has weights.h5"),
        ("savedmodel", SAVED, save_graph(add_sub), "is a file, as a GraphDef is"),
        ("graphdef", GRAPH, save_add_sub, "is a folder, as a SavedModel is"),
    ],
)
def test_a_file_that_is_no_model_is_refused(write, platform, file, save, message):
    config = write(SIMPLE.replace("PLATFORM", platform), save, file)
    with pytest.raises(RepositoryError, match=message):
        load_model(config, 1)


def test_an_error_of_the_model_has_the_reason_without_the_trace(write):
    text = """backend: "tensorflow" default_model_filename: "net.pb"
    input { name: "x" data_type: TYPE_INT32 dims: [-1] }
    output { name: "y" data_type: TYPE_INT32 dims: [-1] }"""

    def build(tf) -> None:
        tf.reshape(tf.compat.v1.placeholder(tf.int32, [None], name="x"), [2], name="y")

    config = write(text, save_graph(build), "net.pb")
    good, bad = {"x": np.ones(2, np.int32)}, {"x": np.ones(3, np.int32)}
    first, second, third = run(config, [good, bad, good]).outcomes
    assert first["y"].tolist() == third["y"].tolist() == [1, 1]
    assert isinstance(second, PipelineError)
    assert re.fullmatch(r"m failed: .*requested shape has 2.*", str(second)), str(second)


def test_variables_are_initialised_by_the_operations_in_a_file(write):
    text = SIMPLE.replace("PLATFORM", "graphdef") + (
        'parameters { key: "TF_INIT_OPS_FILE" value { string_value: "init_ops.json" } }'
    )

    def build(tf) -> None:
        v1 = tf.compat.v1
        a, b = (v1.placeholder(tf.int32, [None, 16], name=f"INPUT{n}") for n in (0, 1))
        hundred = v1.get_variable("v", initializer=100, use_resource=False)
        tf.add(a, hundred, name="OUTPUT0")
        tf.subtract(a, b, name="OUTPUT1")
        tf.group(hundred.initializer, name="begin")

    config = write(text, save_graph(build), GRAPH)
    with pytest.raises(RepositoryError, match=r"TF_INIT_OPS_FILE.* is 'init_ops.json'; no such"):
        load_model(config, 1)
    (config.path / "init_ops.json").write_text('["begin"]')
    with pytest.raises(RepositoryError, match=r"must be like \{\"init_ops\": \[\"init\"\]\}"):
        load_model(config, 1)
    (config.path / "1" / "init_ops.json").write_text(json.dumps({"init_ops": ["begin"]}))
    row = np.zeros((1, 16), np.int32)
    assert load_model(config, 1)({"INPUT0": row, "INPUT1": row})["OUTPUT0"][0, 0] == 100


def test_options_have_the_names_of_nvidia_s_backend(write):
    values = {
        "TF_NUM_INTRA_THREADS": "2",
        "TF_NUM_INTER_THREADS": "0",
        "TF_USE_PER_SESSION_THREADS": "on",
        "MAX_SESSION_SHARE_COUNT": "4",
        "SOMETHING_ELSE": "x",
    }
    text = SIMPLE.replace("PLATFORM", "graphdef") + "optimization { graph { level: 1 } }"
    for key, value in values.items():
        text += f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
    config = write(text, save_graph(add_sub), GRAPH)
    options = tensorflow_options(config, config.model_file(1))
    assert (options.intra_op_threads, options.inter_op_threads) == (2, 0)
    assert options.graph_level == 1
    ones = np.ones((2, 16), np.int32)
    answer = load_model(config, 1)({"INPUT0": ones, "INPUT1": ones})
    assert (answer["OUTPUT0"] == 2).all()
    wrong = write(text.replace('"2"', '"two"'), lambda path: None, GRAPH)
    with pytest.raises(
        RepositoryError, match=r"TF_NUM_INTRA_THREADS\"\] is 'two'; it must be a wh"
    ):
        load_model(wrong, 1)


def test_graphs_are_merged_by_named_dimensions(write):
    text = """platform: "tensorflow_savedmodel"
    input [ { name: "x" data_type: TYPE_FP32 dims: [-1, 8] },
            { name: "edge_index" data_type: TYPE_INT64 dims: [2, -1] } ]
    output { name: "scores" data_type: TYPE_FP32 dims: [-1, 3] }
    parameters { key: "naiad_dims" value { string_value:
      "x: nodes, 8; edge_index: 2, edges -> nodes; scores: nodes, 3" } }"""
    config = write(text, save_neighbours, SAVED)
    rng = np.random.default_rng(0)
    requests = [
        {
            "x": rng.normal(size=(nodes, 8)).astype(np.float32),
            "edge_index": rng.integers(0, nodes, (2, 20)),
        }
        for nodes in (5, 9, 7)
    ]
    report = run(config, requests)
    assert [batch["requests"] for batch in report.batches] == [3]
    for request, outcome in zip(requests, report.outcomes, strict=True):
        expected = run_saved(config.model_file(1), request)["scores"]
        np.testing.assert_allclose(outcome["scores"], expected, rtol=1e-5, atol=1e-6)


def test_a_saved_model_of_tensorflow_1_has_its_variables_and_only_signature(write):
    tf = imported()
    v1 = tf.compat.v1

    def save(path: Path) -> None:
        with tf.Graph().as_default(), v1.Session() as session:
            x = v1.placeholder(tf.float32, [None, 2], name="x")
            scale = v1.get_variable("scale", initializer=[2.0, 3.0], use_resource=False)
            y = tf.multiply(x, scale, name="y")
            session.run(v1.global_variables_initializer())
            builder = v1.saved_model.Builder(str(path))
            signature = v1.saved_model.predict_signature_def({"images": x}, {"scores": y})
            builder.add_meta_graph_and_variables(session, ["serve"], {"predict": signature})
            builder.save()

    config = completed_config(write("", save, SAVED))
    assert [(t.name, t.dtype, t.dims) for t in config.inputs] == [("images", "FP32", (2,))]
    answer = load_model(config, 1)({"images": np.ones((1, 2), np.float32)})
    assert answer["scores"].tolist() == [[2.0, 3.0]]
