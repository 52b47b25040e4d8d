import logging
import textwrap
from pathlib import Path

import pytest

from naiad.core.pipeline import Pipeline
from naiad.core.schema import Tensor
from naiad.errors import EngineError, InvalidInput, SchemaError
from naiad.triton.config import read_config, read_parameters
from naiad.triton.repository import export, naiad_models

SOURCE = textwrap.dedent(
    """
    import naiad
    from naiad import Tensor

    class Scale(naiad.Pipeline):
        inputs = {"x": Tensor("float32", ("nodes",))}
        outputs = {"y": Tensor("float32", ("nodes",))}
        weights = "scale.txt"
        notice = "a toy"

        def setup(self, device):
            self.scale = float(self.weights_path.read_text())

        def forward(self, batch):
            return {"y": batch["x"] * self.scale}
    """
)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "scale.txt").write_text("3")
    path = tmp_path / "src" / "model.py"
    path.write_text(SOURCE)
    return path


def test_the_folder_is_complete_without_the_source(source, tmp_path):
    model = export(f"{source}:Scale", tmp_path / "models", instances=2)
    source.unlink()
    (source.parent / "scale.txt").unlink()
    moved = (tmp_path / "models").rename(tmp_path / "elsewhere")
    (found,) = naiad_models(moved)
    assert (found.name, found.notice) == (model.name, model.notice) == ("scale", "a toy")
    pipeline = found.pipeline()
    pipeline.setup("cpu")
    assert pipeline.scale == 3.0
    assert found.example()["x"].shape == (8,)
    files = {str(p.relative_to(moved)) for p in moved.rglob("*") if p.is_file()}
    assert {f for f in files if "__pycache__" not in f} == {
        "scale/config.pbtxt",
        "scale/1/libtriton_naiad.so",
        "scale/1/pipeline.py",
        "scale/1/weights.txt",
    }


def test_no_path_of_this_machine_is_written(source, tmp_path):
    model = export(f"{source}:Scale", tmp_path / "models")
    for path in model.path.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes()


def test_the_config_names_the_backend_and_the_pipeline(source, tmp_path):
    config = read_config(export(f"{source}:Scale", tmp_path / "models").path / "config.pbtxt")
    assert config.backend == "naiad"
    assert read_parameters(config)["naiad_pipeline"] == "pipeline.py:Scale"


def test_other_weights_and_options_travel(source, tmp_path):
    other = tmp_path / "other.bin"
    other.write_text("7")
    model = export(
        f"{source}:Scale", tmp_path / "models", weights=other, instances=3, device="cuda:0"
    )
    parameters = read_parameters(read_config(model.path / "config.pbtxt"))
    assert parameters["instances"] == "3"
    assert parameters["device"] == "cuda:0"
    assert (model.path / "1" / parameters["weights"]).read_text() == "7"


def test_watchdog_and_queue_are_the_pipelines_or_those_given(source, tmp_path):
    source.write_text(SOURCE.replace("    notice =", "    watchdog = 2.5\n    notice ="))
    model = export(f"{source}:Scale", tmp_path / "models", queue_capacity=7)
    parameters = read_parameters(read_config(model.path / "config.pbtxt"))
    assert (parameters["watchdog"], parameters["queue_capacity"]) == ("2.5", "7")
    model = export(f"{source}:Scale", tmp_path / "models", watchdog=1)
    parameters = read_parameters(read_config(model.path / "config.pbtxt"))
    assert (parameters["watchdog"], parameters["queue_capacity"]) == ("1", "10000")
    with pytest.raises(SchemaError, match="watchdog is -1 s"):
        export(f"{source}:Scale", tmp_path / "models", watchdog=-1)


def test_the_runtime_is_one_that_runs_the_pipelines_network(source, tmp_path):
    with pytest.raises(InvalidInput, match=r"scale has no network that openvino can run; leave"):
        export(f"{source}:Scale", tmp_path / "models", runtime="openvino")
    able = '    runtimes = ("torch", "openvino")\n    notice ='
    source.write_text(SOURCE.replace("    notice =", able))
    model = export(f"{source}:Scale", tmp_path / "models", runtime="openvino")
    assert model.pipeline().runtime == "openvino"
    assert read_parameters(read_config(model.path / "config.pbtxt"))["runtime"] == "openvino"
    with pytest.raises(InvalidInput, match=r"onnxruntime can run; choose torch or openvino, or"):
        export(f"{source}:Scale", tmp_path / "models", runtime="onnxruntime")
    with pytest.raises(SchemaError, match="runtime is 'tvm'; it must be torch or onnxruntime or"):
        export(f"{source}:Scale", tmp_path / "models", runtime="tvm")


def test_exporting_again_replaces_what_naiad_wrote(source, tmp_path):
    export(f"{source}:Scale", tmp_path / "models")
    (source.parent / "scale.txt").write_text("4")
    model = export(f"{source}:Scale", tmp_path / "models")
    assert (model.path / "1" / "weights.txt").read_text() == "4"


def test_a_pipeline_of_another_file_with_the_same_name_is_left_alone(source, tmp_path):
    theirs = export(f"{source}:Scale", tmp_path / "models")
    other = source.rename(source.with_name("other.py"))
    with pytest.raises(EngineError, match=r"same name, model\.py:Scale; give this one another"):
        export(f"{other}:Scale", tmp_path / "models")
    assert (theirs.path / "1" / "pipeline.py").is_file()


def test_a_folder_that_naiad_did_not_write_is_left_alone(source, tmp_path):
    theirs = tmp_path / "models" / "scale" / "config.pbtxt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('name: "scale"\nbackend: "python"\n')
    with pytest.raises(EngineError, match="was not written by Naiad"):
        export(f"{source}:Scale", tmp_path / "models")
    assert theirs.read_text().startswith('name: "scale"')


def test_labels_become_a_file_that_the_config_names(tmp_path):
    degree = Path(__file__).parents[1] / "runtime" / "degree.py"
    model = export(f"{degree}:Ranked", tmp_path)
    (output,) = read_config(model.path / "config.pbtxt").output
    text = (model.path / output.label_filename).read_text()
    assert text == "red\ngreen: light\nblue\n"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"z": ["a"]}, "labels for 'z', which is not an output of scale"),
        ({"y": ["a", "b\nc"]}, r"label 1 of y is 'b\\nc'; it must be one line"),
        ({"y": ["", "b"]}, "label 0 of y is ''; it must be one line"),
        ({"y": ["a", "b"]}, "y has 3 classes, but 2 labels"),
    ],
)
def test_labels_that_triton_would_misread_are_refused(source, tmp_path, labels, message):
    code = SOURCE.replace(
        '"y": Tensor("float32", ("nodes",))', '"y": Tensor("float32", ("nodes", 3))'
    )
    source.write_text(f"{code}\n    def labels(self):\n        return {labels!r}\n")
    with pytest.raises(SchemaError, match=message):
        export(f"{source}:Scale", tmp_path / "models")


def test_a_class_inside_a_function_cannot_be_exported(tmp_path):
    class Local(Pipeline):
        inputs = {"x": Tensor("float32", ("n",))}
        outputs = {"x": Tensor("float32", ("n",))}

    with pytest.raises(SchemaError, match="defined inside a function"):
        export(Local, tmp_path)


MIXING = """
import naiad
from naiad import Tensor

class Centred(naiad.Pipeline):
    inputs = outputs = {"x": Tensor("float32", ("rows",))}
    arrays = "numpy"

    def forward(self, batch):
        return {"x": batch["x"] - batch["x"].mean()}

class Allowed(Centred):
    name = "allowed"
    merges = True

class Refusing(Centred):
    name = "refusing"

    def forward(self, batch):
        raise ValueError("no such thing")

class Absent(Centred):
    name = "absent"

    def setup(self, device):
        raise OSError("no such device")
"""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Centred", "centred is served one request at a time: its answer depends on the requests"),
        ("Allowed", ""),
        (
            "Refusing",
            "refusing does not answer its own example: Refusing.forward() raised ValueError",
        ),
        ("Absent", "absent cannot be run here: OSError: no such device"),
    ],
)
def test_answers_alone_and_merged_are_compared_if_asked(tmp_path, caplog, kind, said):
    (tmp_path / "mixing.py").write_text(MIXING)
    with caplog.at_level(logging.WARNING):
        model = export(f"{tmp_path / 'mixing.py'}:{kind}", tmp_path / "models", compare=True)
    assert [record.getMessage()[: len(said)] for record in caplog.records] == (
        [said] if said else []
    )
    assert (model.path / "config.pbtxt").exists()


def test_without_that_nothing_is_run(tmp_path, caplog):
    (tmp_path / "mixing.py").write_text(MIXING)
    for kind in ("Centred", "Absent"):
        export(f"{tmp_path / 'mixing.py'}:{kind}", tmp_path / "models")
    assert not caplog.records


def test_the_example_of_what_was_just_exported_is_not_read_from_the_folder(source, tmp_path):
    model = export(f"{source}:Scale", tmp_path / "models")
    (model.path / "1" / "pipeline.py").write_text("raise ValueError('imported')")
    assert model.example()["x"].shape == (8,)
    (again,) = naiad_models(tmp_path / "models")
    with pytest.raises(ValueError, match="imported"):
        again.example()
