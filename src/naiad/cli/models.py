"""``naiad models``, ``naiad load`` and ``naiad unload``: the models of a running server."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from naiad.cli.connect import open_client
from naiad.cli.options import Seconds, Url, time_option
from naiad.console import output, say, tell
from naiad.errors import ModelNotFound, NaiadError, Unavailable
from naiad.server_card import find_card
from naiad.typed_json import decode

if TYPE_CHECKING:
    from naiad.client import Client
    from naiad.triton.inventory import ModelEntry

_POLL = 0.1  # seconds
_COLOURS = {"READY": "green", "UNAVAILABLE": "red", "LOADING": "yellow", "UNLOADING": "yellow"}

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name on the server.")]


def models(
    url: Url = "localhost:8001",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List a server's models: state, versions, instances, and requests served.

    [bold]Examples[/]

      naiad models
      naiad models --url gpu1:8001 --json
    """
    from naiad.triton.inventory import take_inventory

    with open_client(url) as client:
        entries = take_inventory(client)
    if as_json:
        typer.echo(json.dumps([{"state": e.state, **asdict(e)} for e in entries], indent=1))
        return
    output.print(_table(entries))
    for entry in entries:
        if entry.reason:
            say((f"{entry.name}:", "red"), f" {entry.reason}")


def load(
    name: Name,
    url: Url = "localhost:8001",
    timeout: Annotated[float, time_option("Maximum time to load.")] = Seconds(300),
) -> None:
    """Load a model from the server's repository, or reload one whose files have changed.

    A pipeline that was named on the command line of a server on this host is
    written anew from its file first.

    The loaded version keeps answering until the new one is ready; no request fails. The server must
    run with --model-control-mode explicit.

    [bold]Examples[/]

      naiad load gat_test
    """
    with open_client(url, timeout=timeout) as client:
        began = time.monotonic()
        try:
            _write_anew(name, url)
            client.load(name, timeout=timeout)
        except NaiadError as error:
            if not isinstance(error, ModelNotFound) and (served := _served(client, name)):
                tell(f"version {served} of {name} is still served")
            raise
        took = time.monotonic() - began
        say(f"{name} version {_served(client, name)} loaded in {took:.1f} s")


def unload(
    name: Name,
    url: Url = "localhost:8001",
    timeout: Annotated[float, time_option("Maximum time to finish accepted requests.")] = Seconds(
        30
    ),
) -> None:
    """Unload a model, once it has answered the requests it has accepted.

    [bold]Examples[/]

      naiad unload gat_test
    """
    with open_client(url, timeout=timeout) as client:
        client.unload(name)
        deadline = time.monotonic() + timeout
        while True:
            states = {m.state for m in client.models() if m.name == name}
            if not states & {"READY", "LOADING", "UNLOADING"}:
                say(f"{name} unloaded")
                return
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{name} takes no more requests, but is still {' and '.join(sorted(states))} "
                    f"after {timeout:g} s: it is answering accepted requests, or is held by a "
                    f"client that has gone. Restart the server to free its memory"
                )
            time.sleep(_POLL)


def _write_anew(name: str, url: str) -> None:
    """Replace the folder of a model that is of a file, if the server is this user's on this host.

    Raises:
        NaiadError: the file's model does not load or answer its example; the folder stays.
    """
    from naiad.client.address import Address

    card = find_card(Address.parse(url).place)
    if card is None or card.model_control != "explicit" or name not in card.sources:
        return
    from naiad.triton.rebuild import Order, rebuild

    order = decode(json.dumps(card.sources[name]), Order)
    answer = rebuild(Path(card.python), order, lambda: False, card.directory)
    if answer is not None and answer.error:
        if answer.traceback:
            tell(answer.traceback)
        raise NaiadError(answer.error)


def _served(client: Client, name: str) -> str:
    try:
        return ", ".join(m.version for m in client.models() if m.name == name and m.ready)
    except NaiadError:
        return ""


def _table(entries: list[ModelEntry]) -> Table:
    table = Table()
    table.add_column("model", no_wrap=True)
    for title in ("state", "versions", "backend"):
        table.add_column(title, no_wrap=title == "state")
    for title in ("instances", "requests", "errors", "mean batch", "in queue"):
        table.add_column(title, justify="right")
    for entry in entries:
        ready = [version for version, state in entry.versions.items() if state == "READY"]
        instances = "" if entry.backend == "" else str(entry.instances or "one per core")
        work = entry.work
        done = ("", "", "", "")
        if work is not None:
            done = (
                f"{work.requests:,}",
                f"{work.errors:,}",
                f"{work.batch_size:.1f}",
                f"{work.queue * 1000:.1f} ms",
            )
        colour = _COLOURS.get(entry.state, "dim")
        state = Text(entry.state.lower(), colour)
        table.add_row(entry.name, state, ", ".join(ready), entry.backend, instances, *done)
    return table
