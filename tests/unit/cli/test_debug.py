"""``naiad debug``: hooks in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from naiad.cli.main import app
from naiad.errors import InvalidInput

SOURCE = """\
import naiad
from naiad import Tensor

class M(naiad.Pipeline):
    inputs = {"x": Tensor("float32", ("n",)), "t": Tensor("bytes", ("n",))}
    outputs = {"y": Tensor("float32", ("n",)), "t": Tensor("bytes", ("n",))}
    arrays = "numpy"

    def forward(self, batch):
        factor = 2
        BREAK
        return {"y": 1 / (3 - batch["x"]), "t": factor * batch["t"]}

    def finish(self, result):
        assert (result["y"] > 0).all()
        return result
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(SOURCE.replace("BREAK", "pass"))
    return tmp_path


def request(path: Path, x: list[float]) -> str:
    np.savez(path, x=np.array(x, np.float32), t=np.array(["ab"] * len(x)))
    return str(path)


def test_outputs_and_times_are_printed_for_the_example_and_for_files(folder: Path) -> None:
    result = CliRunner().invoke(app, ["debug", "my.py:M"])
    assert result.exit_code == 0, result.output
    assert "the example: prepare" in result.output
    two = [request(folder / "one.npz", [1, 2]), request(folder / "two.npz", [2.5])]
    result = CliRunner().invoke(app, ["debug", "my.py:M", *two])
    assert result.exit_code == 0, result.output
    for shown in ("one.npz: prepare", "forward", "│ y ", "float32", "[2]", "0.5 1.0", "b'abab'"):
        assert shown in result.output


def test_an_error_of_a_hook_has_the_users_frames_and_a_refused_request_a_message(
    folder: Path,
) -> None:
    result = CliRunner().invoke(app, ["debug", "my.py:M", request(folder / "bad.npz", [4])])
    assert result.exit_code == 1
    assert f'File "{folder}/my.py", line 15, in finish' in result.stderr
    assert result.stderr.splitlines()[-1] == "AssertionError"
    assert "runner.py" not in result.stderr
    np.savez("wrong.npz", x=np.zeros(2))
    with pytest.raises(InvalidInput, match="x is float64"):
        CliRunner().invoke(app, ["debug", "my.py:M", "wrong.npz"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("typed", "status", "shown"), [("p factor * 21\nc\n", 0, "(Pdb) 42"), ("q\n", 1, "(Pdb)")]
)
def test_a_breakpoint_opens_the_debugger(folder: Path, typed: str, status: int, shown: str) -> None:
    (folder / "my.py").write_text(SOURCE.replace("BREAK", "breakpoint()"))
    done = subprocess.run(
        [sys.executable, "-c", "from naiad.cli.main import main; main()", "debug", "my.py:M"],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONBREAKPOINT": ""},  # Ray sets another debugger
    )
    assert (done.returncode, done.stderr) == (status, "")
    assert shown in done.stdout


@pytest.mark.parametrize(
    ("hook", "shown"),
    [
        ("raise SystemExit('enough')", "SystemExit: enough"),
        ("import ctypes; ctypes.string_at(0)", "Fatal Python error: Segmentation fault"),
    ],
)
def test_the_place_of_an_end_of_the_process_is_shown(folder: Path, hook: str, shown: str) -> None:
    (folder / "my.py").write_text(SOURCE.replace("BREAK", hook))
    done = run("debug", "my.py:M")
    assert done.returncode
    assert shown in done.stderr
    assert f'File "{folder}/my.py", line 11' in done.stderr


@pytest.mark.parametrize("command", ["debug", "serve", "export"])
@pytest.mark.parametrize("broken", ["x = (", "1 / 0"])
def test_an_error_of_a_file_is_shown_without_our_frames(
    folder: Path, command: str, broken: str
) -> None:
    (folder / "my.py").write_text(f"{SOURCE.replace('BREAK', 'pass')}\n{broken}\n")
    done = run(command, "my.py:M", *(["models"] if command == "export" else []))
    assert done.returncode == 1
    assert f'File "{folder}/my.py", line 18' in done.stderr
    assert "naiad/" not in done.stderr
    assert "typer/" not in done.stderr


@pytest.mark.parametrize("name", ["text.npz", "one.npy"])
def test_another_file_than_npz_is_named(folder: Path, name: str) -> None:
    np.save(folder / "one.npy", np.zeros(1))
    (folder / "text.npz").write_text("hello")
    done = run("debug", "my.py:M", name)
    assert f"error: {name} is not a .npz file of plain arrays" in done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from naiad.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
