"""Packages bring their own commands and options, and none of them slows the others down."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from naiad.application import Application
from naiad.cli import mount
from naiad.cli.main import app
from naiad.core.fields import setting
from naiad.triton import repository


def test_a_package_brings_a_group_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = typer.Typer(help="Buy things.")
    shop.command("buy")(lambda: typer.echo("bought"))
    shop.callback()(lambda: None)
    monkeypatch.setitem(sys.modules, "shop_cli", SimpleNamespace(shop=shop))
    values = {"shop": "shop_cli:shop", "broken": "no_such_module:app"}
    entries = {name: EntryPoint(name, value, "naiad.commands") for name, value in values.items()}
    monkeypatch.setattr(mount, "brought_commands", lambda: entries)
    run = CliRunner().invoke
    assert run(app, ["shop", "buy"]).output == "bought\n"
    shown = run(app, ["--help"], env={"COLUMNS": "200"}).output
    assert "Buy things." in shown
    assert "cannot be imported: No module named 'no_such_module'" in shown
    assert "Did you mean 'shop'" in run(app, ["shpo"]).output


class Recipe(Application):
    """An application whose pipelines are made from files."""

    name = "recipe"

    @dataclass(frozen=True)
    class ServeOptions:
        recipe: tuple[str, ...] = setting((), "Also serve this recipe.", metavar="FILE")

    @dataclass(frozen=True)
    class ExportOptions:
        recipe: str | None = setting(None, "A recipe in place of a pipeline.", metavar="FILE")

    @classmethod
    def specs(cls, options: Any) -> list[str]:
        given = options.recipe or ()
        return [f"kitchen:dish({one})" for one in ([given] if isinstance(given, str) else given)]


def test_an_application_brings_options_of_serve_and_export(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(mount, "applications", lambda: (Recipe,))
    run = CliRunner().invoke
    shown = run(app, ["serve", "--help"], env={"COLUMNS": "200"}).output
    assert "Also serve this recipe." in shown
    written: list[tuple[Any, ...]] = []

    def write(spec: str, directory: Any, **settings: Any) -> Any:
        written.append((spec, str(directory)))
        return SimpleNamespace(path=tmp_path, notice="")

    monkeypatch.setattr(repository, "export", write)
    assert run(app, ["export", "models", "--recipe", "a"]).exit_code == 0
    assert written == [("kitchen:dish(a)", "models")]
    refused = run(app, ["export", "gat", "models", "--recipe", "a"])
    assert "give PIPELINE or one option in its place" in refused.output


@pytest.mark.parametrize(
    "words", ["--help", "models --help", "new --help", "gate key list --help", "movies --help"]
)
def test_commands_import_no_application_and_no_heavy_package(words: str) -> None:
    heavy = (
        *("numpy", "torch", "pandas", "matplotlib", "scipy", "h5py", "pyarrow", "grpc"),
        *("tritonclient", "yaml", "cryptography", "pooch"),
    )
    code = (
        f"import sys, naiad.cli.main\nsys.argv = {['naiad', *words.split()]}\n"
        "try:\n    naiad.cli.main.app()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in sys.modules if m in {heavy} or m.startswith('naiad.applications.')\n"
        "       and m.rpartition('.')[2] in ('task', 'pipeline', 'application')])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.splitlines()[-1] == "[]", printed.stderr
