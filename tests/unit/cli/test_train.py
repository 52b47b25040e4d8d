"""``naiad train`` has a command for every application that trains."""

from __future__ import annotations

from typer.testing import CliRunner

from naiad.cli.main import app


def test_alone_it_lists_them() -> None:
    result = CliRunner().invoke(app, ["train"])
    assert "nugraph3" in result.output
