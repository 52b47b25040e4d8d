"""``naiad train`` has a command for every application that can."""

from __future__ import annotations

from tests.unit.cli.mounted import commands
from typer.testing import CliRunner

from naiad.applications.nugraph import cli
from naiad.cli.main import app


def test_it_has_the_applications_commands() -> None:
    assert commands("train")["nugraph3"] is cli.train


def test_alone_it_lists_them() -> None:
    result = CliRunner().invoke(app, ["train"])
    assert "nugraph3" in result.output
