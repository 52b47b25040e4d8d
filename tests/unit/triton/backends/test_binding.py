import re

import pytest

from naiad.errors import RepositoryError
from naiad.triton.backends.binding import bind
from naiad.triton.backends.signature import Port, Signature
from naiad.triton.model_config import read_model_config

SCRIPT = Signature("torchscript", (Port("x"), Port("edge_index")), (Port("OUTPUT__0"),))
TWO = Signature("torchscript", (Port("a"), Port("b")), (Port("OUTPUT__0"), Port("OUTPUT__1")))
PACKAGE = Signature(
    "aotinductor",
    (Port("ARGS[0]", None, None, ("INPUT__0",)), Port("KWARGS[k]", None, None, ("INPUT__1",))),
    (Port("RESULT", None, None, ("OUTPUT__0",)),),
)
ONNX = Signature(
    "onnx", (Port("x", "FP32", (-1, 8)),), (Port("y", "FP32", (-1, 3)), Port("z", "INT64", (1,)))
)


def config(tmp_path, inputs: str, outputs: str, more: str = "", backend: str = "pytorch"):
    """Tensors as ``name dtype dims``, separated by ``;``."""
    lines = [f'backend: "{backend}"', more]
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for tensor in filter(None, tensors.split(";")):
            name, dtype, dims = tensor.split(maxsplit=2)
            lines.append(f'{kind} {{ name: "{name}" data_type: TYPE_{dtype} dims: {dims} }}')
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.pbtxt").write_text("\n".join(lines))
    return read_model_config(tmp_path / "m")


@pytest.mark.parametrize(
    ("inputs", "order"),
    [
        ("x FP32 [-1,8]; edge_index INT64 [2,-1]", ("x", "edge_index")),
        ("edge_index INT64 [2,-1]; x FP32 [-1,8]", ("x", "edge_index")),  # forward's names
        ("edges__1 INT64 [2,-1]; x__0 FP32 [-1,8]", ("x__0", "edges__1")),  # NAME__INDEX
        ("first FP32 [-1,8]; second INT64 [2,-1]", ("first", "second")),  # in order
        ("x__1 FP32 [-1,8]; second INT64 [2,-1]", ("x__1", "second")),  # not all are NAME__INDEX
    ],
)
def test_torch_inputs_are_bound_by_argument_then_index_then_order(tmp_path, inputs, order):
    bound = bind(config(tmp_path, inputs, "out FP32 [-1,3]"), SCRIPT)
    assert bound.inputs == order
    assert bound.outputs == {"out": 0}


def test_torch_outputs_are_bound_by_index_or_order(tmp_path):
    inputs = "a FP32 [1]; b FP32 [1]"
    bound = bind(config(tmp_path, inputs, "difference__1 FP32 [1]; sum__0 FP32 [1]"), TWO)
    assert bound.outputs == {"difference__1": 1, "sum__0": 0}


def test_packages_are_bound_by_nvidia_s_names(tmp_path):
    bound = bind(
        config(tmp_path, "KWARGS[k] FP32 [1]; ARGS[0] FP32 [1]", "RESULT FP32 [1]"), PACKAGE
    )
    assert bound.inputs == ("ARGS[0]", "KWARGS[k]")


@pytest.mark.parametrize(
    ("inputs", "outputs", "more", "message"),
    [
        (
            "x__0 FP32 [1]",
            "o__0 FP32 [1]",
            "",
            "input has 1 entries; the model takes 2: a, b, so b",
        ),
        (
            "x__0 FP32 [1]; y__2 FP32 [1]",
            "o__0 FP32 [1]",
            "",
            "input[1].name is 'y__2', with index 2; the model takes 2: a, b",
        ),
        (
            "x__0 FP32 [1]; y__0 FP32 [1]",
            "o__0 FP32 [1]",
            "",
            "input[1].name is 'y__0', the same tensor of the model as input[0], 'x__0'",
        ),
        (
            "a FP32 [1]; b FP32 [1]",
            "o__5 FP32 [1]",
            "",
            "output[0].name is 'o__5', with index 5",
        ),
        ("a UINT32 [1]; b FP32 [1]", "o__0 FP32 [1]", "", "input[0].data_type is TYPE_UINT32"),
        ("a BF16 [1]; b FP32 [1]", "o__0 FP32 [1]", "", "input[0].data_type is TYPE_BF16"),
        ("a STRING [1]; b FP32 [1]", "o FP32 [1]", "max_batch_size: 8", "input[0].dims is [1]: a"),
        ("", "o__0 FP32 [1]", "", "input is missing"),
        ("a FP32 [1]; b FP32 [1]", "", "", "output is missing"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_by_field(tmp_path, inputs, outputs, more, message):
    with pytest.raises(RepositoryError, match=re.escape(f"m/config.pbtxt: {message}")):
        bind(config(tmp_path, inputs, outputs, more), TWO)


@pytest.mark.parametrize(
    ("inputs", "outputs", "more", "message"),
    [
        ("w FP32 [8]", "y FP32 [3]", "", "input[0].name is 'w'; the model takes 1: x"),
        ("x FP32 [-1,8]", "w FP32 [3]", "", "output[0].name is 'w'; the model returns 2: y, z"),
        ("x FP64 [-1,8]", "y FP32 [-1,3]", "", "input[0].data_type is TYPE_FP64; the model's x is"),
        ("x FP32 [-1,9]", "y FP32 [-1,3]", "", "input[0].dims is [-1, 9]; the model's x has shape"),
        (
            "x FP32 [8]",
            "y FP32 [-1,3]",
            "",
            "input[0].dims is [8]; the model's x has shape [-1, 8]",
        ),
        (
            "x FP32 [-1,8]",
            "y FP32 [3]",
            "max_batch_size: 4",
            "input[0].dims is [-1, 8], [-1, -1, 8] with the batch dimension; the model's x has",
        ),
        (
            "x FP32 [8]",
            "z INT64 [1]",
            "max_batch_size: 4",
            "max_batch_size is 4, but the model's z has shape [1], whose first dimension is fixed",
        ),
    ],
)
def test_onnx_is_checked_for_names_dtypes_and_dims(tmp_path, inputs, outputs, more, message):
    with pytest.raises(RepositoryError, match=re.escape(f"m/config.pbtxt: {message}")):
        bind(config(tmp_path, inputs, outputs, more, "onnxruntime"), ONNX)


def test_onnx_outputs_may_be_left_out(tmp_path):
    bound = bind(config(tmp_path, "x FP32 [8]", "y FP32 [3]", "max_batch_size: 4", "onnx"), ONNX)
    assert (bound.inputs, bound.outputs) == (("x",), {"y": 0})
