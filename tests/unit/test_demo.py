"""Which demos there are; that they run is tested on the real Triton."""

from __future__ import annotations

from importlib import import_module

import pytest
from typer.testing import CliRunner

from naiad.applications import demos
from naiad.cli.main import app


@pytest.mark.parametrize("name", demos())
def test_a_demo_is_of_the_folder_it_is_named_for(name: str) -> None:
    module, _, function = demos()[name].partition(":")
    assert module == f"naiad.applications.{name}.demo"
    assert callable(getattr(import_module(module), function))


def test_an_unknown_demo_is_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(app, ["demo", "cats"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "no demo 'cats'; there are nugraph3, zero_shot, movies, products" in result.output
