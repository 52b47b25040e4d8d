"""``naiad infer`` has a command for every application."""

from __future__ import annotations

from typer.testing import CliRunner

from naiad.cli.main import app


def test_alone_it_lists_them() -> None:
    result = CliRunner().invoke(app, ["infer"])
    assert "nugraph3" in result.output
