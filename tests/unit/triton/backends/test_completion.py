import pytest

from naiad.triton.backends.completion import complete, needs_completion
from naiad.triton.backends.signature import Port, Signature
from naiad.triton.model_config import read_model_config

BATCHED = Signature("onnx", (Port("x", "FP32", (-1, 8)),), (Port("y", "BYTES", (-1,)),))
FIXED = Signature("onnx", (Port("x", "FP32", (-1, 8)),), (Port("y", "INT64", (2, -1)),))
INPUT = {"name": "x", "data_type": "TYPE_FP32", "dims": [8]}


def completed(config, signature):
    complete(config, signature)
    return config


def test_a_model_with_a_batch_dimension_gets_one():
    assert completed({}, BATCHED) == {
        "max_batch_size": 4,
        "dynamic_batching": {},
        "input": [INPUT],
        "output": [
            {"name": "y", "data_type": "TYPE_STRING", "dims": [1], "reshape": {"shape": []}}
        ],
    }


def test_one_without_keeps_its_shapes():
    assert completed({"max_batch_size": 0}, FIXED) == {
        "max_batch_size": 0,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1, 8]}],
        "output": [{"name": "y", "data_type": "TYPE_INT64", "dims": [2, -1]}],
    }


def test_what_the_config_says_is_kept():
    config = completed({"max_batch_size": 16, "sequence_batching": {}, "input": [INPUT]}, BATCHED)
    assert config["max_batch_size"] == 16
    assert "dynamic_batching" not in config
    assert config["input"] == [INPUT]
    whole = {"max_batch_size": 0, "input": [INPUT], "output": [INPUT]}
    assert completed(dict(whole), BATCHED) == whole


@pytest.mark.parametrize("ports", [None, (Port("a"),)])
def test_torchscript_does_not_say_enough(ports):
    assert completed({}, Signature("torchscript", ports, ports)) == {}


SAVED = Signature(
    "savedmodel",
    (Port("a", "FP32", (-1, 8)), Port("b", "INT64", (-1,))),
    (Port("y", "BOOL", (-1, 3)), Port("z", "FP32", (-1, 2))),
)
A = {"name": "a", "data_type": "TYPE_FP32", "dims": [8]}
B = {"name": "b", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}}
Y = {"name": "y", "data_type": "TYPE_BOOL", "dims": [3]}


def test_a_saved_model_gets_what_its_config_leaves_out():
    config = completed(
        {"max_batch_size": 2, "input": [{"name": "a"}], "output": [{"name": "y"}]}, SAVED
    )
    assert config["input"] == [A, B], "all inputs"
    assert config["output"] == [Y], "of the outputs those that the config has"
    assert config["dynamic_batching"] == {}


@pytest.mark.parametrize(
    ("entry", "largest", "added"),
    [
        ({"name": "a"}, 4, A),
        (A, 4, A),  # the batch dimension is not among the dims, so there is one
        ({**A, "dims": [-1, 8]}, 0, {**A, "dims": [-1, 8]}),
        ({**A, "dims": [64], "reshape": {"shape": [-1, 8]}}, 0, None),
    ],
)
def test_the_dims_in_a_config_show_whether_a_saved_model_has_a_batch(entry, largest, added):
    config = completed({"max_batch_size": 0, "input": [dict(entry)]}, SAVED)
    assert config["max_batch_size"] == largest
    assert ("dynamic_batching" in config) == (largest > 0)
    assert config["input"][0] == (added or entry)


def test_a_saved_model_of_unknown_rank_needs_its_dims_in_the_config():
    unknown = Signature("savedmodel", (Port("a", "FP32", (-1, 8)),), (Port("y", "BOOL"),))
    assert "output" not in completed({}, unknown)
    assert completed({"output": [Y]}, unknown)["output"] == [Y]


def test_a_graph_does_not_say_enough():
    graph = Signature("graphdef", (Port("a", "FP32", (-1, 8)),), (Port("y", "FP32", (-1,)),))
    assert completed({}, graph) == {}


WHOLE = """input { name: "a" data_type: TYPE_FP32 dims: [8] }
output { name: "y" data_type: TYPE_BOOL dims: [3] } """


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ('platform: "tensorflow_graphdef" max_batch_size: 8', False),
        ('platform: "onnxruntime_onnx"', False),
        ('platform: "tensorflow_savedmodel" max_batch_size: 8 dynamic_batching { }', False),
        ('platform: "tensorflow_savedmodel" max_batch_size: 1', False),
        ('platform: "tensorflow_savedmodel" max_batch_size: 8', True),
        ('platform: "tensorflow_savedmodel"', True),
        ('backend: "tensorflow" default_model_filename: "model.savedmodel"', True),
        ('platform: "tensorflow_savedmodel" max_batch_size: 1 output { name: "z" }', True),
    ],
)
def test_configs_that_the_model_file_may_add_to(tmp_path, text: str, needed: bool):
    (tmp_path / "config.pbtxt").write_text(WHOLE + text)
    assert needs_completion(read_model_config(tmp_path)) == needed
