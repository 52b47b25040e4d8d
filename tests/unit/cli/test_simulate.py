"""``naiad simulate`` has a command for every application that simulates."""

from __future__ import annotations

from typer.testing import CliRunner

from naiad.cli.main import app


def test_alone_it_lists_them() -> None:
    result = CliRunner().invoke(app, ["simulate"])
    assert "nugraph3" in result.output
