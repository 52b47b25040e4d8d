import pytest
import torch
from tests.support.exported import (
    AddSub,
    ByName,
    Neighbours,
    Shout,
    dense_onnx,
    echo_onnx,
    graph,
    save_export,
    script,
    trace,
)

from naiad.errors import RepositoryError
from naiad.triton.backends.signature import Port, read_signature


def test_torchscript_has_names_of_arguments_and_a_number_of_outputs(tmp_path):
    found = read_signature(script(AddSub(), tmp_path / "model.pt"))
    assert found.kind == "torchscript"
    assert found.inputs == (Port("a"), Port("b"))
    assert found.outputs == (Port("OUTPUT__0"), Port("OUTPUT__1"))


def test_a_traced_graph_model_has_them_too(tmp_path):
    found = read_signature(trace(Neighbours(), graph(5, 9), tmp_path / "model.pt"))
    assert found.inputs == (Port("x"), Port("edge_index"))
    assert found.outputs == (Port("OUTPUT__0"),)


def test_lists_of_strings_are_bytes(tmp_path):
    found = read_signature(script(Shout(), tmp_path / "model.pt"))
    assert found.inputs == (Port("words", "BYTES"),)
    assert found.outputs == (Port("OUTPUT__0", "BYTES"),)


def test_dictionaries_have_names_that_the_file_does_not_say(tmp_path):
    found = read_signature(script(ByName(), tmp_path / "model.pt"))
    assert (found.inputs, found.outputs) == (None, None)


def test_an_export_has_dtypes_and_shapes(tmp_path):
    found = read_signature(save_export(Neighbours(), graph(5, 9), tmp_path / "model.pt2"))
    assert found.kind == "export"
    assert found.inputs == (
        Port("x", "FP32", (-1, 8), ("ARGS[0]", "INPUT__0")),
        Port("edge_index", "INT64", (2, -1), ("ARGS[1]", "INPUT__1")),
    )
    (output,) = found.outputs or ()
    assert (output.dtype, output.shape, output.aliases) == (
        "FP32",
        (-1, 3),
        ("RESULT", "OUTPUT__0"),
    )


def test_nested_arguments_have_the_names_that_nvidia_s_backend_gives_them(tmp_path):
    class Nested(torch.nn.Module):
        def forward(self, x, options, *, scale):
            return {"AAA": x * scale, "BBB": (x + options["key"], x - scale)}

    x = torch.ones(3)
    program = torch.export.export(Nested(), (x, {"key": x}), {"scale": x})
    torch.export.save(program, str(tmp_path / "model.pt2"))
    found = read_signature(tmp_path / "model.pt2")
    assert [p.aliases[0] for p in found.inputs or ()] == [
        "ARGS[0]",
        "ARGS[1][key]",
        "KWARGS[scale]",
    ]
    assert [p.aliases[0] for p in found.outputs or ()] == [
        "RESULT[AAA]",
        "RESULT[BBB][0]",
        "RESULT[BBB][1]",
    ]


def test_onnx_has_names_dtypes_and_shapes(tmp_path):
    found = read_signature(dense_onnx(tmp_path / "model.onnx"))
    assert found.kind == "onnx"
    assert found.inputs == (Port("x", "FP32", (-1, 8)),)
    assert found.outputs == (Port("y", "FP32", (-1, 3)),)
    strings = read_signature(echo_onnx(tmp_path / "echo.onnx"))
    assert [p.dtype for p in strings.inputs or ()] == ["BYTES", "INT64"]


@pytest.mark.parametrize(
    ("name", "save", "message"),
    [
        ("model.pt", lambda p: p.write_bytes(b"no zip"), "is not a torch model.*torch.jit.save"),
        ("model.pt", lambda p: torch.save({"w": torch.ones(2)}, p), "state_dict.*trace or script"),
        ("model.onnx", lambda p: p.write_bytes(b"\x08"), "cannot be loaded as ONNX"),
        ("missing.pt", lambda p: None, "is not a torch model"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_what_it_may_be(tmp_path, name, save, message):
    save(tmp_path / name)
    with pytest.raises(RepositoryError, match=f"{name} .*{message}"):
        read_signature(tmp_path / name)
