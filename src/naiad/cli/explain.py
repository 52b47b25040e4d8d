"""``naiad explain``: the batch, worker and stages of a request that a server has answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from naiad.cli.options import Url
from naiad.console import output, print_columns, say
from naiad.errors import InvalidInput, NotAllowed, Unavailable
from naiad.server_card import find_card
from naiad.typed_json import decode

if TYPE_CHECKING:
    from naiad.client.address import Address
    from naiad.triton.history import Found, PastRequest, RequestBatch

_PATIENCE = 0.5  # seconds: a request is in the history just after its answer has been sent
_POLL = 0.05  # seconds


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
    health: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Health port of a server on another host, through a tunnel or TLS: the request "
            "carries the control key of NAIAD_CONTROL_KEY.",
        ),
    ] = None,
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
    look = _looker(url, health, request_id, number)
    found = look()
    deadline = time.monotonic() + _PATIENCE
    while not found.requests and time.monotonic() < deadline:
        time.sleep(_POLL)
        found = look()
    if not found.requests:
        raise InvalidInput(_nothing(found, request_id))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found.requests], indent=1))
    elif len(found.requests) > 1:
        _list(found.requests)
    else:
        _print(found.requests[0])


def _looker(url: str, health: str | None, wanted: str | None, number: int) -> Callable[[], Found]:
    """Return a function that looks for the requests, on this host or at a health port."""
    from naiad.client.address import Address
    from naiad.triton.history import History

    address = Address.parse(url)
    card = find_card(address.place)
    if health is None and card is not None and card.history:
        history = History.open(card.history)
        return lambda: history.last(number) if wanted is None else history.find(wanted)
    if health is None and address.is_local and card is None:
        raise Unavailable(
            f"no server of this user at {address}; give --url, or --health with the URL of a "
            "health port, such as one that a tunnel or `kubectl port-forward` brings here"
        )
    if health is None and card is not None:
        raise Unavailable(f"the server at {address} keeps no history (--history 0)")
    place = health or f"http://{address.host}:8003"
    return lambda: _asked(place, address, wanted, number)


def _asked(health: str, server: Address, wanted: str | None, number: int) -> Found:
    """Ask a health port.

    Raises:
        Unavailable: no health port answers, or its server keeps no history.
        NotAllowed: there is no control key for it, or another.
    """
    import urllib3

    from naiad.client.access import control_headers
    from naiad.client.address import Address
    from naiad.control_key import HTTP_HEADER, VARIABLE
    from naiad.triton.health import REQUESTS_PATH
    from naiad.triton.history import Found

    at = Address.parse(health if "://" in health else f"http://{health}")
    # The key is that of the server, whose own port names its file.
    key = control_headers(at, HTTP_HEADER) or (
        control_headers(server, HTTP_HEADER) if at.is_local and server.is_local else {}
    )
    if not key:
        raise NotAllowed(
            f"{at} tells of requests only with the server's control key: set {VARIABLE}, and reach "
            "the port on this host (ssh -L 8003:localhost:8003, kubectl port-forward) or by https"
        )
    asked = {"last": str(number)} if wanted is None else {"id": wanted}
    try:
        answer = urllib3.request(
            "GET", f"{at}{REQUESTS_PATH}", fields=asked, headers=key, timeout=10.0, retries=False
        )
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"no health port at {at}: {error}") from None
    if answer.status == 403:
        raise NotAllowed(
            f"{at} does not take the control key that was sent; a server makes one at each start"
        )
    if answer.status != 200:
        raise Unavailable(f"{at}{REQUESTS_PATH} answers {answer.status}: {answer.data.decode()}")
    return decode(answer.data, Found)


def _nothing(found: Found, wanted: str | None) -> str:
    if wanted is None or found.since is None:
        return "the server has answered no request yet"
    back = (
        f"the server keeps its last {found.kept:,} requests"
        if found.kept < found.total
        else f"the server has answered {found.total:,} requests"
    )
    return f"no request {wanted}: {back}, the oldest of {_clock(found.since)}"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "milliseconds")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms"


def _sizes(one: PastRequest) -> str:
    """Return the sizes of a request by dimension, without those that are 0."""
    return ", ".join(f"{n:,} {dim}" for dim, n in one.rows.items() if n and dim != "requests")


def _list(requests: Sequence[PastRequest]) -> None:
    rows: list[list[Text | str]] = [
        [
            f"#{one.number}",
            one.id,
            f"{one.model} {one.version}",
            _clock(one.arrived)[11:23],
            _milliseconds(one.seconds),
            str(one.batch.requests - 1) if one.batch else "",
            Text(one.error, "red") if one.error else _sizes(one),
        ]
        for one in requests
    ]
    print_columns(rows, ("", "id", "model", "arrived", "took", "others", "size"))


def _print(one: PastRequest) -> None:
    name = f"{one.id} (#{one.number})" if one.id else f"#{one.number}"
    ended = (f"failed with {one.error}", "red") if one.error else "was answered"
    at, took = _clock(one.arrived), _milliseconds(one.seconds)
    model = f" to {one.model} version {one.version} arrived at {at} and "
    say((name, "bold"), model, ended, f" after {took}")
    if sizes := _sizes(one):
        say(f"size: {sizes}")
    if one.trace:
        say(f"trace: {one.trace}, below span {one.span}")
    if one.batch is None:
        say("it was in no batch that a worker answered")
    else:
        _print_batch(one, one.batch)
    table = Table("stage")
    for title in ("began after", "ended after", "took"):
        table.add_column(title, justify="right")
    for stage in one.stages:
        times = (stage.began, stage.ended, stage.ended - stage.began)
        table.add_row(stage.name, *map(_milliseconds, times))
    output.print(table)


def _print_batch(one: PastRequest, batch: RequestBatch) -> None:
    others = batch.requests - 1
    with_whom = "alone" if not others else f"with {others:,} other{'s' if others > 1 else ''}"
    apart = f", run as {batch.merged} merged batches" if batch.merged > 1 else ""
    where = f"on worker {batch.worker} (process {batch.pid})"
    say(f"batch {batch.number}, {with_whom}{apart}, {where}")
    table = Table("dimension")
    for title in ("this request", "batch"):
        table.add_column(title, justify="right")
    for dim, rows in batch.rows.items():
        own = one.rows.get(dim, 0)
        if rows or own:  # those that `prepare` makes are known of the batch only
            table.add_row(dim, f"{own:,}" if own else "", f"{rows:,}")
    output.print(table)
