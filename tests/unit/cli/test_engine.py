"""``naiad engine``, and the engine that ``naiad --version`` names."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from typer.testing import CliRunner

import naiad
from naiad.cli.main import app
from naiad.triton import engine


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAIAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NAIAD_ENGINE", raising=False)
    monkeypatch.setattr(engine, "CONTAINERS", tmp_path / "none")


@pytest.mark.usefixtures("nowhere")
def test_the_version_names_the_engine_and_that_it_is_not_there_yet():
    first, second = run("--version").splitlines()
    assert first == f"naiad {naiad.__version__}"
    assert second == (
        "engine: Triton 2.51.0 (release 24.10, October 2024), downloaded by the first "
        "`naiad serve` or by `naiad engine install`"
    )
    assert run("engine", "show") == f"{second.removeprefix('engine: ')}\n"


@pytest.mark.usefixtures("nowhere")
def test_an_engine_that_is_there_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = tmp_path / "opt" / "bin" / "tritonserver"
    program.parent.mkdir(parents=True)
    program.touch()
    program.chmod(0o755)
    monkeypatch.setenv("NAIAD_ENGINE", str(tmp_path / "opt"))
    assert run("engine", "show") == f"a Triton of unknown version in {tmp_path / 'opt'}\n"
    (tmp_path / "opt" / "TRITON_VERSION").write_text("2.60.0\n")
    assert run("engine", "show") == f"Triton 2.60.0 in {tmp_path / 'opt'}\n"


@pytest.mark.usefixtures("nowhere")
def test_where_none_can_be_had_the_version_is_printed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    line = run("--version").splitlines()[1]
    assert line.startswith("engine: none: the embedded Triton runs on Linux x86-64 and aarch64")
    monkeypatch.setenv("NAIAD_ENGINE", str(tmp_path))
    assert run("engine", "show").startswith(f"none: {tmp_path} holds no Triton")
