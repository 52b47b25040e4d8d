"""``naiad weights`` says what weights are, and notices when they are not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from naiad.cli.main import app
from naiad.errors import WeightsError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with one tensor of six numbers."""
    header = {
        "__metadata__": {"made": "here"},
        "layer.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    }
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + bytes(24)
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(data)
    write_facts(folder, sha256=hashlib.sha256(data).hexdigest())
    return folder


def write_facts(folder: Path, **more: Any) -> None:
    facts = {"notice": "for [red]tests[/]", "classes": ["a", "b"], "made": {"by": "hand"}, **more}
    (folder / "weights.json").write_text(json.dumps(facts))


def show(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["weights", "show", str(folder), *options])


def test_import_lists_the_applications() -> None:
    assert "nugraph3" in CliRunner().invoke(app, ["weights", "import"]).output


def test_it_shows_what_is_known(weights: Path) -> None:
    result = show(weights)
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=1) for line in result.output.splitlines()]
    shown = {line[0]: line[1].strip() for line in lines if len(line) == 2}
    assert shown["notice"] == "for [red]tests[/]"
    assert shown["classes"] == "a, b"
    assert shown["made.by"] == "hand"
    assert shown["weights.safetensors"].startswith("1 tensors, 6 numbers")
    assert "layer.weight" not in result.output


def test_it_lists_the_tensors_when_asked(weights: Path) -> None:
    output = show(weights, "--tensors").output
    assert "layer.weight" in output
    assert "[2, 3]" in output


def test_weights_of_another_description_are_noticed(weights: Path) -> None:
    write_facts(weights, sha256="0" * 64)
    error = show(weights).exception
    assert isinstance(error, WeightsError)
    assert "do not belong together" in str(error)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.json", None, "is not a folder of weights"),
        ("weights.json", b"{", "not JSON"),
        ("weights.json", b"[]", "Expected `object`, got `array`"),
        ("weights.safetensors", None, "no such file"),
        ("weights.safetensors", b"", "is not a safetensors"),
        ("weights.safetensors", b"\xff" * 40, "is not a safetensors"),
        ("weights.safetensors", (2).to_bytes(8, "little") + b"[]", "is not a safetensors"),
        ("weights.safetensors", (8).to_bytes(8, "little") + b'{"a": 1}', "is not a safetensors"),
        ("weights.safetensors", (20).to_bytes(8, "little") + b"x" * 30, "is not a safetensors"),
    ],
)
def test_what_are_no_weights_is_refused(
    weights: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is None:
        (weights / name).unlink()
    else:
        (weights / name).write_bytes(content)
    error = show(weights).exception
    assert isinstance(error, WeightsError), error
    assert message in str(error)


@pytest.mark.parametrize(("name", "part"), [("nugraph3", "tensors"), ("gat", "92,373 numbers")])
def test_a_built_in_name_stands_for_its_default_weights(name: str, part: str) -> None:
    result = show(Path(name))
    assert result.exit_code == 0, result.output
    assert f"{name}: the default weights, " in result.output.replace("\n", "")
    assert part in result.output


def test_an_application_without_weights_has_none_to_show() -> None:
    assert str(show(Path("simple")).exception) == "simple has no weights"


def test_a_folder_of_that_name_comes_first(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.rename(tmp_path / "nugraph3")
    monkeypatch.chdir(tmp_path)
    assert "made.by" in show(Path("nugraph3")).output
