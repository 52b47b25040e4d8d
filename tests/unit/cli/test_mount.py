"""Applications bring their own commands, and none of them slows the others down."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from naiad.applications import application
from naiad.cli import mount


def test_an_application_brings_only_the_commands_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def look(picture: str) -> None:
        """Look at a picture."""
        typer.echo(f"looking at {picture}")

    nugraph3 = application("nugraph3")
    assert nugraph3 is not None
    there = (
        replace(nugraph3, name="seer", cli="seer.cli"),
        replace(nugraph3, name="mute", cli=None),
        replace(nugraph3, name="blind", cli="blind.cli"),
    )
    modules = {"seer.cli": SimpleNamespace(look=look), "blind.cli": SimpleNamespace()}
    monkeypatch.setattr(mount, "applications", lambda: there)
    monkeypatch.setattr(mount, "import_module", modules.__getitem__)
    app = mount.group("look", "Look at things.")
    app.callback()(lambda: None)
    assert [command.name for command in app.registered_commands] == ["seer"]
    assert CliRunner().invoke(app, ["seer", "a.png"]).output == "looking at a.png\n"


def test_applications_share_a_command_group_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = typer.Typer(name="shop", help="Buy things.")
    shop.command("buy")(lambda: typer.echo("bought"))
    nugraph3 = application("nugraph3")
    assert nugraph3 is not None
    there = (
        replace(nugraph3, name="fruit", cli="shop.cli"),
        replace(nugraph3, name="bread", cli="shop.cli"),
        replace(nugraph3, name="plain", cli="plain.cli"),
    )
    modules = {"shop.cli": SimpleNamespace(commands=shop), "plain.cli": SimpleNamespace()}
    monkeypatch.setattr(mount, "applications", lambda: there)
    monkeypatch.setattr(mount, "import_module", modules.__getitem__)
    app = typer.Typer()
    mount.mount_groups(app)
    app.callback()(lambda: None)
    assert [group.typer_instance for group in app.registered_groups] == [shop]
    assert CliRunner().invoke(app, ["shop", "buy"]).output == "bought\n"


def test_the_command_line_starts_without_heavy_packages() -> None:
    heavy = ["torch", "pandas", "matplotlib", "scipy", "h5py", "pyarrow", "tritonclient", "grpc"]
    code = f"import sys, naiad.cli.main; print([p for p in {heavy} if p in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr
