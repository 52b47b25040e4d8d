"""Output of commands: consoles, tables, progress bars, and a check for existing files.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from naiad.errors import NaiadError

output = Console()
errors = Console(stderr=True)

_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, width: int) -> str:
    """Return a bar for a share of 0 to 1, ``width`` characters for 1; for less than 0, empty."""
    whole, eighths = divmod(round(max(share, 0) * width * 8), 8)
    return "█" * whole + (_EIGHTHS[eighths] if eighths else "")


def print_bars(labels: Sequence[str], shares: Sequence[float], width: int = 28) -> None:
    """Print a line per label, with a bar for its share of 0 to 1; the first stands out."""
    rows: list[list[Text | str]] = []
    for rank, (label, share) in enumerate(zip(labels, shares, strict=True)):
        style = "" if rank else "bold green"
        length = Text(f"{bar(share, width):{width}}", style or "dim")
        rows.append([Text(f"  {label}", style), length, f"{share:.3f}"])
    print_columns(rows)


def print_columns(rows: Sequence[Sequence[Text | str]], header: Sequence[str] = ()) -> None:
    """Print aligned rows; never cut or fold them, however narrow the terminal."""
    lines = [[Text(name, "bold") for name in header]] if header else []
    lines += [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        text = Text("  ").join(
            cell
            if number == len(widths) - 1
            else Text.assemble(cell, " " * (width - cell.cell_len))
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        output.print(text, highlight=False, soft_wrap=True)


class Advance(Protocol):
    """Update of a progress bar: amount done, total, label and note."""

    def __call__(
        self, done: float, total: float | None = None, label: str | None = None, note: str = ""
    ) -> None:
        """Move the bar."""
        ...


@contextmanager
def progress_bar(
    label: str,
    total: float | None,
    *,
    unit: str | None = "",
    keep: bool = False,
    console: Console = errors,
) -> Generator[Advance]:
    """Show a progress bar on ``console``, standard error by default, if that is a terminal.

    Args:
        label: in front of the bar.
        total: amount that is to be done; None if it is not known.
        unit: noun behind the count; "bytes" are shown as sizes with a rate, and None shows no
            count, for shares of 1.
        keep: leave the bar at the end, and print it even if there is no terminal.
        console: where to show it.
    """
    from rich import progress as rich

    counts = {
        None: (),
        "bytes": (rich.DownloadColumn(), rich.TransferSpeedColumn()),
    }.get(unit, (rich.MofNCompleteColumn(), rich.TextColumn(unit or "")))
    bar = rich.Progress(
        rich.TextColumn("{task.description}", style="progress.description", markup=False),
        *(rich.BarColumn(), rich.TaskProgressColumn(), rich.TimeRemainingColumn()),
        *counts,
        rich.TimeElapsedColumn(),
        rich.TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True) if keep else console,  # several may be kept at once
        transient=not keep,
        disable=not (keep or console.is_terminal),
    )
    with bar:
        task = bar.add_task(label, total=total, note="")

        def advance(
            done: float, total: float | None = None, label: str | None = None, note: str = ""
        ) -> None:
            bar.update(task, completed=done, total=total, description=label, note=note)

        yield advance


def shortened(text: str, letters: int = 100) -> str:
    """Return a text on one line of at most ``letters`` characters."""
    plain = " ".join(text[: 10 * letters].split())
    return plain if len(plain) <= letters else f"{plain[: letters - 1]}…"


def say(text: str) -> None:
    """Print text that may have markup, without colouring numbers or breaking lines."""
    output.print(text, highlight=False, soft_wrap=True)


def say_notice(notice: str) -> None:
    """Print a notice for every user of some weights or data, unless it is empty."""
    if notice:
        say(f"[yellow]{escape(notice)}[/]")


def complain(text: str) -> None:
    """Print an error in red on standard error, without markup."""
    errors.print(f"[red]{escape(text)}[/]", highlight=False, soft_wrap=True)


def refuse_existing(path: Path, force: bool) -> None:
    """Refuse to overwrite anything, unless ``force`` is set.

    Raises:
        NaiadError: a file exists, or a folder that is not empty.
    """
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not force:
        raise NaiadError(f"{path} exists; --force overwrites it")
