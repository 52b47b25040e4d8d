"""Applications bring their own commands, and none of them slows the others down."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from naiad.application import Application
from naiad.cli import mount


def test_applications_share_a_command_group_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = typer.Typer(name="shop", help="Buy things.")
    shop.command("buy")(lambda: typer.echo("bought"))
    there = (
        type("fruit", (Application,), {"name": "fruit", "commands": "shop.cli:shop"}),
        type("bread", (Application,), {"name": "bread", "commands": "shop.cli:shop"}),
        type("plain", (Application,), {"name": "plain"}),
    )
    modules = {"shop.cli": SimpleNamespace(shop=shop)}
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
