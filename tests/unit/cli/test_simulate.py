"""``naiad simulate`` has a command for every application that simulates."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from naiad.cli.main import app


def said(output: str) -> str:
    return " ".join(output.replace("│", " ").split())


def test_alone_it_lists_them() -> None:
    result = CliRunner().invoke(app, ["simulate"])
    assert "nugraph3" in result.output


def test_options_of_simulated_files_do_not_go_with_requests(tmp_path: Path) -> None:
    command = ["simulate", "nugraph3", "--perf-analyzer", str(tmp_path / "data.json")]
    result = CliRunner().invoke(app, [*command, "--size", "large", "-o", "other.h5"])
    assert result.exit_code == 2
    assert "--perf-analyzer takes none of --output, --size" in said(result.output)


def test_requests_do_not_overwrite_a_file(tmp_path: Path) -> None:
    path = tmp_path / "data.json"
    path.write_text("mine")
    result = CliRunner().invoke(app, ["simulate", "gat", "--perf-analyzer", str(path)])
    assert result.exit_code == 1
    assert path.read_text() == "mine"


def test_a_seed_gives_the_same_requests_and_another_others(tmp_path: Path) -> None:
    texts: list[str] = []
    for number, seed in enumerate("778"):
        path = tmp_path / f"{number}.json"
        given = ["--perf-analyzer", str(path), "-n", "2", "--seed", seed]
        assert CliRunner().invoke(app, ["simulate", "nugraph3", *given]).exit_code == 0
        texts.append(path.read_text())
    assert texts[0] == texts[1] != texts[2]
