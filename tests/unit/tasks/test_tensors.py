"""Models without an application, asked with files of tensors."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from typer.testing import CliRunner, Result

from naiad import testing
from naiad.cli.main import app
from naiad.errors import InvalidInput
from naiad.tasks.tensors import NpzWriter, TensorTask, task_of_model

MODEL = '''
import numpy as np
import naiad
from naiad import Tensor


class Sums(naiad.Pipeline):
    """Sum of each row, and the text in upper case."""

    inputs = {"x": Tensor("float32", ("rows", 2)), "note": Tensor("bytes", ("requests",))}
    outputs = {"total": Tensor("float32", ("rows",)), "note": Tensor("bytes", ("requests",))}
    arrays = "numpy"

    def forward(self, batch):
        upper = np.array([one.upper() for one in batch["note"]], object)
        return {"total": batch["x"].sum(1), "note": upper}
'''


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sums")
    (folder / "sums.py").write_text(MODEL)
    inputs = folder / "requests"
    inputs.mkdir()
    np.savez(inputs / "a.npz", x=np.ones((3, 2), np.float32), note=np.array(["plain"]))
    note = {"b64": base64.b64encode(b"coded").decode()}
    (inputs / "b.json").write_text(json.dumps({"x": [[1, 2]], "note": [note]}))
    request = {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]},
            {"name": "note", "datatype": "BYTES", "shape": [1], "data": ["kserve"]},
        ]
    }
    (inputs / "c.json").write_text(json.dumps(request))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path):
    with testing.serve(f"{folder / 'sums.py'}:Sums") as server:
        yield server


def test_any_model_is_asked_by_its_name(server, folder: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    done = run("infer", "sums", folder / "requests", "-o", answers, "--url", server.grpc_url)
    assert done.exit_code == 0, done.output
    assert "total" in done.output
    with np.load(answers / "b.npz") as found:
        assert found["total"].tolist() == [3]
        assert found["note"].tolist() == ["CODED"]
    with np.load(answers / "c.npz") as found:
        assert found["total"].tolist() == [3, 7]


def test_answers_to_several_files_share_one(server, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "all.npz"
    done = run("infer", "sums", folder / "requests", "-o", output, "--url", server.grpc_url)
    assert done.exit_code == 0, done.output
    with np.load(output) as found:
        totals = {name: found[name].tolist() for name in found.files if name.endswith("total")}
    assert sorted(totals.values()) == [[2, 2, 2], [3], [3, 7]]


def test_a_folder_is_processed(server, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "results"
    server_at = f"--server={server.grpc_url}"
    done = run("process", "sums", folder / "requests", "-o", output, server_at, "--format", "npz")
    assert done.exit_code == 0, done.output
    with np.load(output / "requests.npz") as found:
        assert sum(name.endswith("/total") for name in found.files) == 3


def test_a_misspelt_application_is_no_model() -> None:
    assert task_of_model("nugraph") is None
    done = run("infer", "mednits", "x.npz")
    assert done.exit_code == 2
    assert "No such command 'mednits'" in done.output


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npz", b"x", "not a .npz file"),
        ("x.json", b"[", "not JSON"),
        ("x.json", b'{"x": [{"b64": "?"}]}', "not base64"),
        ("x.json", b'{"x": [{"raw": 1}]}', "not with 'raw'"),
        ("x.pt", b"x", "not a Data or HeteroData"),
    ],
)
def test_a_file_of_something_else_is_refused(name, content, message, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message) as caught:
        TensorTask().read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_graph_file_is_read(tmp_path: Path) -> None:
    torch.save(Data(x=torch.ones(3, 2)), tmp_path / "g.pt")
    assert TensorTask().read(tmp_path / "g.pt")["x"].shape == (3, 2)


def test_merged_files_keep_the_names_of_their_units(tmp_path: Path) -> None:
    for part, units in {"0": "a", "1": "bc"}.items():
        writer = NpzWriter(TensorTask(), tmp_path / part, None)
        for unit in units:
            writer.add(unit, None, {"y": np.array([ord(unit)])})
        writer.close()
    NpzWriter.merge(TensorTask(), [tmp_path / "0", tmp_path / "1"], tmp_path / "all.npz", {})
    with np.load(tmp_path / "all.npz") as found:
        assert {name: chr(found[name][0]) for name in found.files} == {
            "a/y": "a",
            "b/y": "b",
            "c/y": "c",
        }
