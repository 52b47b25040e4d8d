"""``naiad gate``: manage API keys, and make a certificate for trials."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from naiad.console import output, say, tell

app = typer.Typer(
    help="Manage access to a server that others can reach: API keys, a certificate.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
key_app = typer.Typer(
    help="Manage API keys: a file of names, hashes and rights; the keys themselves are not stored.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(key_app, name="key")

File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        metavar="FILE",
        help="File of keys. [dim]\\[default: ~/.config/naiad/api-keys.json][/]",
        show_default=False,
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Owner of the key, shown in logs.")]


@key_app.command()
def add(
    name: Name,
    may: Annotated[
        Literal["infer", "control"],
        typer.Option(
            help="infer: inference and model metadata. control: also loading and unloading models, "
            "which can run code on the server."
        ),
    ] = "infer",
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="Restrict the key to this model; may be repeated.",
            show_default="all",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            help="Maximum request rate: 50/s, 600/m, 1000/h.",
            show_default="no limit",
        ),
    ] = None,
    file: File = None,
) -> None:
    """Make a key, and show it once.

    A running server accepts it within two seconds.

    [bold]Examples[/]

      naiad gate key add alice
      naiad gate key add daq --model nugraph3 --rate 50/s
      naiad gate key add operator --may control
    """
    from naiad.gate import keys

    path = file or keys.default_path()
    verbs: tuple[keys.Verb, ...] = ("infer", "control") if may == "control" else ("infer",)
    key = keys.add_key(path, name, verbs, tuple(models) if models else None, rate)
    tell(f"key of {name}, shown only once; its hash is in {path}")
    typer.echo(key)
    tell(
        f"\n  naiad serve --api-keys {shlex.quote(str(path))}"
        f"  # for other hosts also --host 0.0.0.0, --tls-cert and --tls-key\n"
        f"  export NAIAD_API_KEY=...  # where clients run"
    )


@key_app.command("list")
def list_keys(file: File = None) -> None:
    """List keys with their names and rights.

    [bold]Examples[/]

      naiad gate key list
    """
    from naiad.gate import keys

    table = Table(box=None, pad_edge=False)
    for column in ("name", "may", "models", "rate", "created"):
        table.add_column(column)
    for key in keys.read_keys(file or keys.default_path()):
        models = "all" if key.models is None else ", ".join(key.models) or "none"
        table.add_row(key.name, ", ".join(key.may), models, key.rate or "-", key.created or "-")
    output.print(table)


@key_app.command()
def remove(name: Name, file: File = None) -> None:
    """Remove a key; a running server refuses it within two seconds.

    [bold]Examples[/]

      naiad gate key remove alice
    """
    from naiad.gate import keys

    path = file or keys.default_path()
    keys.remove_key(path, name)
    say(f"removed the key of {name} from {path}")


@app.command()
def certificate(
    hosts: Annotated[
        list[str],
        typer.Argument(metavar="HOST", help="Names or addresses that clients use, such as gpu1."),
    ],
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Directory to write to.")
    ] = Path(),
    days: Annotated[int, typer.Option(min=1, max=3650, help="Validity in days.")] = 365,
) -> None:
    """Make a self-signed certificate to try TLS with.

    Clients need the certificate, too, since no authority has signed it.

    [bold]Examples[/]

      naiad gate certificate gpu1.example.org 192.0.2.7
    """
    from naiad.gate.certificates import make_certificate

    chain, key = make_certificate(hosts, directory, days)
    for path in (chain, key):
        say(f"wrote {path}")
    host = f"[{hosts[0]}]" if ":" in hosts[0] else hosts[0]
    ca, private = shlex.quote(str(chain)), shlex.quote(str(key))
    typer.echo(
        f"\n  naiad serve --tls-cert {ca} --tls-key {private}"
        f"  # for other hosts also --host 0.0.0.0 and --api-keys"
    )
    typer.echo(f"  naiad models --url https://{host}:8000 --ca {ca}  # or NAIAD_CA={ca}")
