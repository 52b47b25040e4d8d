"""``naiad explain``: the batch, worker and stages of a request that a server has answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from naiad.cli.options import Health, Url
from naiad.console import output, print_columns, say
from naiad.errors import InvalidInput

if TYPE_CHECKING:
    from naiad.triton.history import PastRequest


def explain(
    request_id: Annotated[
        str | None,
        typer.Argument(
            help="Id that the client gave the request, the id of its trace, or #NUMBER as listed.",
            show_default=False,
        ),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="The last request.")] = False,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="With --last: list that many.")
    ] = 1,
    url: Url = "localhost:8001",
    health: Health = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which batch a request was in, how large, on which worker, and when each stage ran.

    A server keeps its last 10,000 requests (`naiad serve --history`), without payloads. Clients
    name requests: client.infer(..., request_id="event-17").

    [bold]Examples[/]

      naiad explain event-17
      naiad explain --last
      naiad explain --last -n 20
      naiad explain event-17 --json
    """
    if (request_id is None) != last:
        raise typer.BadParameter("give either REQUEST_ID or --last")
    from naiad.triton.past_requests import PastRequests, nothing_found

    past = PastRequests(url, health)
    found = past.last(number) if request_id is None else past.find(request_id)
    if not found.requests:
        raise InvalidInput(nothing_found(found, request_id))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found.requests], indent=1))
    elif len(found.requests) > 1:
        _list(found.requests)
    else:
        _print(found.requests[0])


def _list(requests: Sequence[PastRequest]) -> None:
    from naiad.triton.past_requests import clock, milliseconds, sizes_of

    rows: list[list[Text | str]] = [
        [
            f"#{one.number}",
            one.id,
            f"{one.model} {one.version}",
            clock(one.arrived)[11:23],
            milliseconds(one.seconds),
            str(one.batch.requests - 1) if one.batch else "",
            Text(one.error, "red") if one.error else sizes_of(one),
        ]
        for one in requests
    ]
    print_columns(rows, ("", "id", "model", "arrived", "took", "others", "size"))


def _print(one: PastRequest) -> None:
    from naiad.triton.past_requests import clock, dimensions_of, milliseconds, name_of, way_of

    ended = (f"failed with {one.error}", "red") if one.error else "was answered"
    model = f" to {one.model} version {one.version} arrived at {clock(one.arrived)} and "
    say((name_of(one), "bold"), model, ended, f" after {milliseconds(one.seconds)}")
    for line in way_of(one):
        say(line)
    if one.batch is not None:
        table = Table("dimension")
        for title in ("this request", "batch"):
            table.add_column(title, justify="right")
        for dim, own, rows in dimensions_of(one):
            table.add_row(dim, f"{own:,}" if own else "", f"{rows:,}")
        output.print(table)
    table = Table("stage")
    for title in ("began after", "ended after", "took"):
        table.add_column(title, justify="right")
    for stage in one.stages:
        times = (stage.began, stage.ended, stage.ended - stage.began)
        table.add_row(stage.name, *map(milliseconds, times))
    output.print(table)
