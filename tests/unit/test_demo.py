"""Which demos there are; that they run is tested on the real Triton."""

from __future__ import annotations

from importlib import import_module

from typer.testing import CliRunner

from naiad.application import applications
from naiad.cli.demo import demos
from naiad.cli.main import app


def test_applications_have_their_own_demos_and_those_that_simulate_one_that_is_derived() -> None:
    own = {name: spec for app in applications() for name, spec in app.demos.items()}
    assert {"nugraph3", "zero_shot", "movies", "products"} <= own.keys()
    for spec in own.values():
        module, _, function = spec.partition(":")
        assert callable(getattr(import_module(module), function))
    assert {"mednist", "covid_ct"} <= demos().keys()


def test_an_unknown_demo_is_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(app, ["demo", "cats"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "no demo 'cats'; there are nugraph3, covid_ct, " in result.output
