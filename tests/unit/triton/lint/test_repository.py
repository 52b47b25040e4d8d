"""Each mistake is found, said with the file and field, and nothing else is complained about."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.triton import copy_model
from typer.testing import CliRunner

from naiad.cli.main import app
from naiad.errors import EngineError
from naiad.triton.lint.repository import Report, check_repository
from naiad.triton.repository import export

DEGREE = Path(__file__).parents[2] / "runtime" / "degree.py"

TORCH = """
backend: "pytorch" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: 3 }
output { name: "y__0" data_type: TYPE_FP32 dims: 3 }
dynamic_batching { }
"""
BOTH = """
platform: "ensemble"
input { name: "raw" data_type: TYPE_FP32 dims: -1 }
output { name: "done" data_type: TYPE_FP32 dims: -1 }
ensemble_scheduling {
  step {
    model_name: "identity" model_version: -1
    input_map { key: "x" value: "raw" } output_map { key: "y" value: "done" }
  }
}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def identity(repository: Path) -> Path:
    return copy_model(repository, "identity")


def write(repository: Path, name: str, config: str) -> Path:
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(config)
    return repository / name


def change(model: Path, before: str, after: str) -> None:
    file = model / "config.pbtxt"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))


def told(report: Report, severity: str = "error") -> str:
    return "\n".join(f.message for f in report.findings if f.severity == severity)


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    file = tmp_path_factory.mktemp("script") / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(torch.nn.ReLU(), torch.zeros(2, 3)).save(str(file))
    return file


@pytest.fixture(scope="session")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from onnx import TensorProto, helper, save

    tensors = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in "xy"
    ]
    relu = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([relu], "g", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    save(model, str(file))
    return file


def test_a_repository_without_mistakes_has_no_findings(repository: Path, identity: Path):
    copy_model(repository, "simple")
    export(f"{DEGREE}:Degree", repository)
    write(repository, "both", BOTH)
    report = check_repository(repository)
    assert report.models.keys() == {"identity", "simple", "degree", "both"}
    assert told(report) == ""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('name: "identity"', 'name: "identiti"', "name is 'identiti' but the folder is 'identity'"),
        ("max_batch_size: 0", "max_batch_sice: 0", r"config\.pbtxt.*\b3\b.*max_batch_sice"),
        ("max_batch_size: 0", "max_batch_size: -1", "max_batch_size is -1; it must be 0"),
        (
            "TYPE_FP32 dims: [ -1 ] } ]\noutput",
            "TYPE_FP32 } ]\noutput",
            r"input\[0\]\.dims is miss",
        ),
        ("dims: [ -1 ]", "dims: [ -2 ]", "dims has -2; sizes must be 1 or more"),
        ('name: "x"', 'name: ""', r"input\[0\]\.name is missing"),
        (
            'backend: "python"',
            'platform: "tensorflow_savedmodel"',
            "1 has no model.savedmodel, which the tensorflow backend loads; it has model.py",
        ),
        ('backend: "python"', 'backend: "fil"', "does not have: export the forest to ONNX"),
        (
            'backend: "python"',
            'backend: "openvino"',
            "1 has no model.xml or model.onnx, which the openvino backend loads; it has model.py",
        ),
        (
            'backend: "python"',
            'backend: "magic"',
            "does not have; it has ensemble, naiad, onnx",
        ),
        (
            "max_batch_size: 0",
            "max_batch_size: 4\ndynamic_batching { preferred_batch_size: [8] }",
            "preferred_batch_size has 8, but max_batch_size is 4",
        ),
        (
            "TYPE_FP32 dims: [ -1 ] } ]\ninstance",
            'TYPE_FP32 dims: [ -1 ] label_filename: "l.txt" } ]\ninstance',
            r"output\[0\]\.label_filename is 'l\.txt'; no such file",
        ),
    ],
)
def test_a_mistake_in_a_config_is_an_error(
    repository: Path, identity: Path, before: str, after: str, message: str
):
    change(identity, before, after)
    report = check_repository(repository)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(told(report))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("max_batch_size: 0", "max_batch_size: 8", "requests are not merged"),
        ("max_batch_size: 0", "dynamic_batching { }", "not merged"),
        ("max_batch_size: 0", "version_policy { specific { versions: [1, 4] } }", "4; there are 1"),
        ("max_batch_size: 0", "response_cache { enable: true }", "--response-cache SIZE"),
        ("count: 1", 'rate_limiter { resources { name: "r" count: 1 } }', "--rate-limit="),
    ],
)
def test_what_may_be_meant_otherwise_is_a_warning(
    repository: Path, identity: Path, before: str, after: str, message: str
):
    change(identity, before, after)
    report = check_repository(repository)
    assert report.errors == 0
    assert message in told(report, "warning")


def bad_syntax(model: Path) -> None:
    (model / "1" / "model.py").write_text("x = 1\ndef (\n")


def no_class(model: Path) -> None:
    (model / "1" / "model.py").write_text("class Model: ...\n")


def no_file(model: Path) -> None:
    (model / "1" / "model.py").rename(model / "1" / "identity.py")


def no_number(model: Path) -> None:
    (model / "1").rename(model / "v1")


def no_model(model: Path) -> None:
    (model.parent / "notes").mkdir()


def a_space(model: Path) -> None:
    model.rename(model.parent / "my model")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (bad_syntax, "1/model.py, line 2"),
        (no_class, "no class TritonPythonModel"),
        (no_file, "has no model.py"),
        (no_number, "has no version: make a folder 1; v1 is not a version number"),
        (no_model, "notes/ has neither config.pbtxt nor a version"),
        (a_space, "'my model' cannot be a model's name"),
    ],
)
def test_a_mistake_in_the_files_is_an_error(
    repository: Path, identity: Path, spoil: Callable[[Path], None], message: str
):
    spoil(identity)
    assert message in told(check_repository(repository))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            '"identity"',
            '"identidy"',
            "is 'identidy', which does not exist; did you mean 'identity'?",
        ),
        ('key: "x"', 'key: "z"', "input_map has 'z'; identity has the inputs x"),
        ('key: "x"', 'key: "z"', "input_map lacks 'x', an input of identity"),
        ('value: "raw"', 'value: "rough"', "is 'rough', which is not an input or a step's output"),
        ("model_version: -1", "model_version: 7", "model_version is 7; identity has [1]"),
        ('"raw" data_type: TYPE_FP32', '"raw" data_type: TYPE_INT32', "is INT32, but input 'x' of"),
        (
            "dims: -1 }\nens",
            "dims: [2, -1] }\nens",
            "has shape [-1], but the ensemble's output has [2, -1]",
        ),
        (
            'platform: "ensemble"',
            'platform: "ensemble" max_batch_size: 4',
            "is 4; that of id",
        ),
    ],
)
def test_a_step_that_does_not_fit_its_model_is_an_error(
    repository: Path, identity: Path, before: str, after: str, message: str
):
    change(write(repository, "both", BOTH), before, after)
    assert message in told(check_repository(repository))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("", "", ""),
        ('name: "x"', 'name: "x__3"', "x__3"),
        (
            'input { name: "x" data_type: TYPE_FP32',
            'input { name: "x" data_type: TYPE_UINT16',
            "16",
        ),
    ],
)
def test_a_config_is_held_against_its_torchscript_file(
    repository: Path, script: Path, before: str, after: str, message: str
):
    model = write(repository, "m", TORCH)
    (model / "1" / "model.pt").write_bytes(script.read_bytes())
    change(model, before, after)
    found = told(check_repository(repository))
    assert bool(found) == bool(message)
    assert message in found
    assert told(check_repository(repository, load_files=False)) == ""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("", "", ""),
        ("TYPE_FP32 dims: 3 }\nout", "TYPE_INT64 dims: 3 }\nout", "the model's x is TYPE_FP32"),
        ("dims: 3 }\nout", "dims: [3, 3] }\nout", "the model's x has shape [-1, 3]"),
        ('"x"', '"xx"', "input[0].name is 'xx'"),
    ],
)
def test_a_config_is_held_against_its_onnx_file(
    repository: Path, onnx: Path, before: str, after: str, message: str
):
    text = TORCH.replace("pytorch", "onnxruntime").replace("y__0", "y")
    model = write(repository, "m", text)
    (model / "1" / "model.onnx").write_bytes(onnx.read_bytes())
    change(model, before, after)
    found = told(check_repository(repository))
    assert bool(found) == bool(message)
    assert message in found


def test_a_pipelines_config_is_held_against_its_class(repository: Path):
    model = export(f"{DEGREE}:Degree", repository).path
    change(model, "TYPE_INT64", "TYPE_INT32")
    assert "differs from the pipeline of version 1; run `naiad export` again" in told(
        check_repository(repository)
    )
    (model / "1" / "pipeline.py").write_text("raise ValueError('no')\n")
    assert "1/ does not load: ValueError: no" in told(check_repository(repository))
    assert told(check_repository(repository, load_files=False)) == ""


def test_a_pipeline_with_what_only_plain_models_have_is_an_error(repository: Path):
    model = export(f"{DEGREE}:Degree", repository).path
    change(model, "backend:", "response_cache { enable: true }\nbackend:")
    change(model, "count: 1", "count: 2")
    found = told(check_repository(repository))
    assert "it caches errors as empty answers" in found
    assert "the parameter instances sets the number of its workers" in found


def test_a_folder_that_is_no_repository_is_refused(repository: Path, identity: Path):
    with pytest.raises(EngineError, match="no such folder"):
        check_repository(repository / "nowhere")
    with pytest.raises(EngineError, match="is a model"):
        check_repository(identity)


def test_the_command_ends_with_status_1_where_there_are_errors(repository: Path, identity: Path):
    runner = CliRunner(env={"COLUMNS": "200"})
    good = runner.invoke(app, ["check", str(repository)])
    assert (good.exit_code, "1 model(s), 0 error(s)" in good.output) == (0, True)
    change(identity, 'name: "identity"', 'name: "other"')
    bad = runner.invoke(app, ["check", str(repository)])
    assert bad.exit_code == 1
    assert "error: config.pbtxt: name is 'other'" in bad.output
    plain = json.loads(runner.invoke(app, ["check", str(repository), "--json"]).output)
    assert plain["errors"] == 1
    assert plain["models"]["identity"][0]["severity"] == "error"


def test_a_pipeline_that_mixes_requests_is_a_warning(repository: Path, tmp_path: Path):
    (tmp_path / "mixing.py").write_text(
        "import naiad\n\n\nclass Centred(naiad.Pipeline):\n"
        '    inputs = outputs = {"x": naiad.Tensor("float32", ("rows",))}\n'
        '    arrays = "numpy"\n\n    def forward(self, batch):\n'
        '        return {"x": batch["x"] - batch["x"].mean()}\n'
    )
    export(f"{tmp_path / 'mixing.py'}:Centred", repository)
    report = check_repository(repository)
    (finding,) = report.models["centred"]
    assert finding.severity == "warning"
    assert finding.message.startswith("1/: centred is served one request at a time: its answer ")
    assert not check_repository(repository, load_files=False).findings
    printed = CliRunner().invoke(app, ["check", str(repository)]).output
    assert finding.message in " ".join(printed.replace("│", " ").split())
