"""``naiad weights``: import weights, and describe them."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from naiad.application import application
from naiad.cli.verbs import group
from naiad.console import output, say
from naiad.errors import WeightsError
from naiad.files import write_whole
from naiad.hub_card import model_card
from naiad.typed_json import decode
from naiad.weights import CARD_FILE, TENSORS_FILE, check_file, read_json

app = typer.Typer(
    help="Import weights, and describe them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.add_typer(
    group("import_weights", "Convert a checkpoint to weights that are safe to load."), name="import"
)

# Limit of the format; a larger header means a damaged file.
_MAX_HEADER = 100_000_000


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]


@app.command()
def show(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|NAME",
            help="A folder of weights, or a built-in name: its default ones.",
            show_default=False,
        ),
    ],
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    as_card: Annotated[
        bool,
        typer.Option("--card", help="Print the model card as the Hugging Face hub has it."),
    ] = False,
    readme: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the model card to a file."),
    ] = None,
) -> None:
    """Describe weights: classes, origin, metrics.

    [bold]Examples[/]

      naiad weights show my-weights/
      naiad weights show my-weights/ --tensors
      naiad weights show nugraph3
      naiad weights show nugraph3 --card -o README.md
    """
    given, directory = directory, _folder(directory)
    wants_card = as_card or readme is not None
    if given != directory and not wants_card:
        say(f"{given}: the default weights, {directory}")
    file = directory / CARD_FILE
    if not file.is_file():
        raise WeightsError(
            f"{directory} is not a folder of weights: it has no {CARD_FILE}; "
            "`naiad weights import` makes one from a checkpoint"
        )
    card = read_json(file, dict[str, Any])
    # The card names the file of a network that is a program itself, such as ONNX.
    path = directory / Path(str(card.get("file", TENSORS_FILE))).name
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if wants_card:
        check_file(path, str(card.get("sha256", "")))
        text = model_card(directory, given.resolve().name, "" if given == directory else str(given))
        if readme is None:
            sys.stdout.write(text)
        else:
            write_whole(readme, text.encode())
        return
    header = _read_header(path) if path.name == TENSORS_FILE else {}
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in _flat(card):
        style = "yellow" if name == "notice" else ""
        table.add_row(name, Text(value, style))
    count = sum(math.prod(tensor.shape) for tensor in header.values())
    content = f"{len(header)} tensors, {count:,} numbers, " if header else ""
    table.add_row(path.name, f"{content}{path.stat().st_size:,} bytes")
    output.print(table)
    if tensors:
        listing = Table("tensor", "dtype", "shape")
        for name, tensor in header.items():
            listing.add_row(name, tensor.dtype, str(tensor.shape))
        output.print(listing)
    check_file(path, str(card.get("sha256", "")))


def _folder(given: Path) -> Path:
    """Return the folder, or that of the default weights of the application of this name.

    Raises:
        WeightsError: the application has no weights.
        MissingExtra: a package of the application is missing.
    """
    name = str(given)
    if given.exists() or application(name) is None:
        return given
    from naiad.core.pipeline import load_pipeline

    found = load_pipeline(name)().weights_path
    if found is None:
        raise WeightsError(f"{name} has no weights")
    return found


def _read_header(path: Path) -> dict[str, _Tensor]:
    """Read the header of a safetensors file: 8 bytes of length, then JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(_MAX_HEADER, path.stat().st_size):
            raise WeightsError(f"{path} is not a safetensors file")
        try:
            header = decode(file.read(length), dict[str, Any])
            header.pop("__metadata__", None)
            return msgspec.convert(header, dict[str, _Tensor])
        except ValueError as error:
            raise WeightsError(f"{path} is not a safetensors file: {error}") from None


def _flat(card: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a card under dotted names; lists on one line."""
    for name, value in card.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", ", ".join(str(item) for item in value)
        else:
            yield f"{prefix}{name}", str(value)
