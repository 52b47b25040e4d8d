"""``naiad check``: check a model repository without a server."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text
from rich.tree import Tree

from naiad.console import output, styled

if TYPE_CHECKING:
    from naiad.triton.lint.finding import Finding
    from naiad.triton.lint.repository import Report

_COLOURS = {"error": "red", "warning": "yellow"}


def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A model repository.")],
    configs_only: Annotated[
        bool,
        typer.Option(
            "--configs-only",
            help="Neither load model files nor run pipelines; for untrusted files.",
        ),
    ] = False,
    python_environment: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Python environment of the repository's own model.py, as for `serve`.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu: as `serve --device cpu`, which needs no GPU.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a model repository: its configs, its files, and the configs against the files.

    Pipelines are set up and answer their examples, alone and merged with another request.

    The exit status is 1 if there are errors.

    [bold]Examples[/]

      naiad check models/
      naiad check models/ --json
      naiad check models/ --device cpu
    """
    from naiad.triton.lint.repository import check_repository

    report = check_repository(
        directory,
        load_files=not configs_only,
        python_environment=python_environment,
        cpu=device == "cpu",
    )
    if as_json:
        typer.echo(json.dumps(_plain(report), indent=1))
    else:
        output.print(_tree(report))
        warnings = len(report.findings) - report.errors
        colour = "red" if report.errors else "green"
        output.print(
            f"{len(report.models)} model(s), {report.errors} error(s), {warnings} warning(s)",
            style=colour,
        )
    if report.errors:
        raise typer.Exit(1)


def _plain(report: Report) -> dict[str, object]:
    return {
        "repository": str(report.repository),
        "errors": report.errors,
        "general": [asdict(finding) for finding in report.general],
        "models": {
            name: [asdict(finding) for finding in findings]
            for name, findings in report.models.items()
        },
    }


def _tree(report: Report) -> Tree:
    tree = Tree(Text(str(report.repository), "bold"))
    for finding in report.general:
        tree.add(_line(finding))
    for name, findings in report.models.items():
        branch = tree.add(name if findings else styled(name, (" ✓", "green")))
        for finding in findings:
            branch.add(_line(finding))
    return tree


def _line(finding: Finding) -> Text:
    colour = _COLOURS[finding.severity]
    return styled((f"{finding.severity}:", colour), f" {finding.message}")
