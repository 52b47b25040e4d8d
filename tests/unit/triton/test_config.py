import pytest
from google.protobuf import text_format

from naiad import Pipeline, Tensor
from naiad.core.schema_json import SCHEMA_PARAMETER, read_schemas
from naiad.errors import EngineError
from naiad.triton.config import model_config, read_config, read_parameters, write_config


class Every(Pipeline):
    inputs = {
        "x": Tensor("float32", ("nodes", 1433)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
        "text": Tensor("bytes", ("nodes",), optional=True),
        "flag": Tensor("bool", ("requests",)),
    }
    outputs = {
        "score": Tensor("float16", ("requests", 4), declared=(4,)),
        "logits": Tensor("float64", ("nodes", 7)),
    }


def test_the_schema_becomes_the_config(tmp_path):
    path = tmp_path / "config.pbtxt"
    write_config(model_config(Every, {"notice": 'said "so"'}), path)
    config = read_config(path)
    assert (config.name, config.backend, config.max_batch_size) == ("every", "naiad", 0)
    described = text_format.MessageToString(config)
    assert [(i.name, list(i.dims), i.optional) for i in config.input] == [
        ("x", [-1, 1433], False),
        ("edge_index", [2, -1], False),
        ("text", [-1], True),
        ("flag", [1], False),
    ]
    assert [list(o.dims) for o in config.output] == [[4], [-1, 7]]
    for dtype in ("TYPE_FP32", "TYPE_INT64", "TYPE_STRING", "TYPE_BOOL", "TYPE_FP16", "TYPE_FP64"):
        assert dtype in described
    parameters = read_parameters(config)
    assert read_schemas(parameters.pop(SCHEMA_PARAMETER)) == (Every.inputs, Every.outputs)
    assert parameters == {"notice": 'said "so"'}


def test_a_config_that_is_none_says_where(tmp_path):
    path = tmp_path / "config.pbtxt"
    path.write_text('name: "x"\nmax_batch: 3\n')
    with pytest.raises(EngineError, match=r"config\.pbtxt: 2:1 .*max_batch"):
        read_config(path)


class Batched(Pipeline):
    max_batch_size = 128
    inputs = {"x": Tensor("float32", ("images", 299, 299, 3), layout="NHWC")}
    outputs = {
        "scores": Tensor("float32", ("images", 1001)),
        "odd": Tensor("float32", ("images", 1), declared=(1, 1)),
    }


def test_a_batch_dimension_is_left_out_and_the_layout_is_told():
    config = model_config(Batched, {}, label_files={"scores": "scores.labels.txt"})
    assert config.max_batch_size == 128
    (x,) = config.input
    assert (list(x.dims), x.Format.Name(x.format)) == ([299, 299, 3], "FORMAT_NHWC")
    assert [list(o.dims) for o in config.output] == [[1001], [1, 1]]
    assert [o.label_filename for o in config.output] == ["scores.labels.txt", ""]
