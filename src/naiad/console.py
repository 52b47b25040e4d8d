"""Console output of the commands: results to standard output, all else to standard error."""

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
    """Return a bar for a share of 0 to 1, ``width`` characters long for 1."""
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
    """Print aligned rows, without cutting or folding them in a narrow terminal."""
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
    """Function that sets a progress bar's count, total, label and note."""

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
        total: final count; None if unknown.
        unit: shown after the count; "bytes" are shown as sizes with a rate, None hides the count.
        keep: leave the bar at the end, and show it without a terminal, too.
        console: to show it on.
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
    """Return a text as one line of at most ``letters`` characters."""
    plain = " ".join(text[: 10 * letters].split())
    return plain if len(plain) <= letters else f"{plain[: letters - 1]}…"


def say(text: str) -> None:
    """Print text with markup, without colouring numbers or breaking lines."""
    output.print(text, highlight=False, soft_wrap=True)


def say_notice(notice: str) -> None:
    """Print the notice of weights or data, unless it is empty."""
    if notice:
        say(f"[yellow]{escape(notice)}[/]")


def warn(text: str) -> None:
    """Print a warning on standard error, without markup."""
    errors.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print an error on standard error, without markup."""
    errors.print(f"[red]{escape(text)}[/]", highlight=False, soft_wrap=True)


def refuse_existing(path: Path, force: bool) -> None:
    """Raise `NaiadError` for a file or a non-empty folder that exists, unless ``force``."""
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not force:
        raise NaiadError(f"{path} exists; --force overwrites it")
