from pathlib import Path

import pytest

from naiad.errors import RepositoryError
from naiad.triton.model_config import parse_model_config, read_model_config, versions


def write(model: Path, config: str, *files: str) -> Path:
    model.mkdir(parents=True)
    (model / "config.pbtxt").write_text(config)
    for file in files:
        (model / file).parent.mkdir(exist_ok=True)
        (model / file).write_text("")
    return model


GAT = """
platform: "pytorch_libtorch"
input [ { name: "x__0" data_type: TYPE_FP32 dims: [-1, 1433] },
        { name: "edgeindex__1" data_type: TYPE_INT64 dims: [2, -1] } ]
output { name: "words__0" data_type: TYPE_STRING dims: [4] reshape { shape: [2, 2] } }
parameters { key: "INFERENCE_MODE" value { string_value: "false" } }
parameters { key: "intra_op_thread_count" value { string_value: "2" } }
"""


def test_a_config_is_read_with_triton_s_defaults(tmp_path):
    config = read_model_config(write(tmp_path / "gat", GAT, "2/model.pt"))
    assert (config.name, config.backend, config.max_batch_size) == ("gat", "pytorch", 0)
    assert [(t.field, t.name, t.dtype, t.dims) for t in (*config.inputs, *config.outputs)] == [
        ("input[0]", "x__0", "FP32", (-1, 1433)),
        ("input[1]", "edgeindex__1", "INT64", (2, -1)),
        ("output[0]", "words__0", "BYTES", (2, 2)),
    ]
    assert config.flag("INFERENCE_MODE", True) is False
    assert config.flag("DISABLE_CUDNN", False) is False
    assert config.count("intra_op_thread_count") == 2
    assert config.model_file(2) == tmp_path / "gat" / "2" / "model.pt"


def test_the_config_that_triton_hands_over_is_the_same(tmp_path):
    from google.protobuf import json_format

    model = write(tmp_path / "gat", GAT, "1/model.pt")
    read = read_model_config(model)
    text = json_format.MessageToJson(read.message, preserving_proto_field_name=True)
    text = text.replace("{", '{"some_later_field": 1,', 1)
    assert parse_model_config(text, model) == read


def test_a_model_without_a_config_is_known_by_its_file(tmp_path):
    (tmp_path / "m" / "3").mkdir(parents=True)
    (tmp_path / "m" / "3" / "model.onnx").touch()
    config = read_model_config(tmp_path / "m")
    assert (config.name, config.backend, config.inputs) == ("m", "onnxruntime", ())
    assert versions(tmp_path / "m") == [3]


@pytest.mark.parametrize(
    ("config", "backend"),
    [
        ('backend: "pytorch"', "pytorch"),
        ('backend: "mine" platform: "pytorch_libtorch"', "mine"),
        ('platform: "onnxruntime_onnx"', "onnxruntime"),
        ('platform: "ensemble"', "ensemble"),
        ('platform: "unheard_of"', ""),
    ],
)
def test_the_backend_is_that_of_the_config_or_of_its_platform(tmp_path, config, backend):
    assert read_model_config(write(tmp_path / "m", config)).backend == backend


def test_a_file_of_another_name_is_loaded_if_the_config_says_so(tmp_path):
    text = 'backend: "pytorch" default_model_filename: "other.pt"'
    config = read_model_config(write(tmp_path / "m", text, "1/other.pt"))
    assert config.model_file(1).name == "other.pt"


def test_a_missing_model_file_is_named_with_what_is_there(tmp_path):
    config = read_model_config(write(tmp_path / "m", 'backend: "pytorch"', "1/modell.pt"))
    with pytest.raises(RepositoryError, match=r"m/1 has no model.pt or model.pt2.*has modell.pt"):
        config.model_file(1)


@pytest.mark.parametrize(
    ("key", "value", "read", "right"),
    [
        ("A", "yes", lambda c: c.flag("A", True), "true or false"),
        ("N", "-1", lambda c: c.count("N"), "a whole number"),
    ],
)
def test_a_wrong_parameter_is_named_by_file_and_field(tmp_path, key, value, read, right):
    text = f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}'
    config = read_model_config(write(tmp_path / "m", text))
    with pytest.raises(RepositoryError, match=rf'm/config\.pbtxt: parameters\["{key}"\].*{right}'):
        read(config)


def test_a_config_that_is_none_says_where(tmp_path):
    with pytest.raises(RepositoryError, match=r"m/config\.pbtxt: 2:1 .*max_batch"):
        read_model_config(write(tmp_path / "m", 'name: "x"\nmax_batch: 3\n'))


@pytest.mark.parametrize(
    ("config", "there", "platform", "loaded"),
    [
        ('platform: "tensorflow_graphdef"', ("file", "folder"), "graphdef", "model.graphdef"),
        ('platform: "tensorflow_savedmodel"', ("file", "folder"), "savedmodel", "model.savedmodel"),
        ('backend: "tensorflow"', ("folder",), "savedmodel", "model.savedmodel"),
        ('backend: "tensorflow"', ("file", "folder"), "graphdef", "model.graphdef"),
        ("", ("folder",), "savedmodel", "model.savedmodel"),
        (
            'backend: "tensorflow" default_model_filename: "model.savedmodel"',
            ("file", "folder"),
            "savedmodel",
            "model.savedmodel",
        ),
        (
            'backend: "tensorflow" default_model_filename: "net.pb"',
            ("file", "net.pb"),
            "graphdef",
            "net.pb",
        ),
    ],
)
def test_the_platform_of_tensorflow_is_inferred_as_by_triton(
    tmp_path, config: str, there: tuple[str, ...], platform: str, loaded: str
):
    version = write(tmp_path / "m", config) / "1"
    version.mkdir()
    for name in there:
        if name == "folder":
            (version / "model.savedmodel").mkdir()
        else:
            (version / name.replace("file", "model.graphdef")).touch()
    found = read_model_config(tmp_path / "m")
    assert (found.backend, found.platform) == ("tensorflow", f"tensorflow_{platform}")
    assert found.model_file(1) == version / loaded


def test_a_file_of_another_platform_is_not_taken(tmp_path):
    model = write(tmp_path / "m", 'platform: "tensorflow_graphdef"', "1/x")
    (model / "1" / "model.savedmodel").mkdir()
    with pytest.raises(RepositoryError, match=r"has no model.graphdef, which the tensorflow"):
        read_model_config(model).model_file(1)
