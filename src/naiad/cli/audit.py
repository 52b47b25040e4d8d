"""``naiad audit``: report what a running server exposes, and to whom."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from naiad.cli.connect import given_access
from naiad.cli.options import Url
from naiad.console import output

_COLOURS = {"closed": "green", "note": "yellow", "open": "bold red"}


def audit(
    url: Url = "localhost:8001",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report what a running server exposes, to whom, and how to close it.

    Asks the server as a stranger would, without a key, and changes nothing. For your own server on
    this host it also reads the settings it was started with. The exit status is 1 if something is
    open that should not be.

    [bold]Examples[/]

      naiad audit
      naiad audit --url grpcs://gpu1:8001 --ca gate-cert.pem --api-key-file key
    """
    from naiad.audit import audit as look

    findings = look(url, given_access())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        table = Table("", "", "remedy", title=f"audit of {url}")
        for finding in findings:
            colour = _COLOURS[finding.verdict]
            table.add_row(finding.subject, Text(finding.state, colour), finding.remedy)
        output.print(table)
    if any(finding.verdict == "open" for finding in findings):
        raise typer.Exit(1)
