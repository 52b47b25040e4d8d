import pytest

from naiad.triton.backends.completion import complete
from naiad.triton.backends.signature import Port, Signature

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
