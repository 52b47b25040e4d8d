"""Console output of the commands: results to standard output, all else to standard error."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console, ConsoleOptions, RenderableType  # noqa: TID251
from rich.segment import Segment
from rich.text import Text

from naiad.errors import NaiadError
from naiad.printable import printable


class PlainConsole(Console):
    """A console that prints texts as they are: most hold a user's file name, label or message.

    There is no markup, no emoji code and no coloured number; characters that no terminal shows are
    escaped. Styles are given by `rich.text.Text`, see :func:`styled`.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of `rich.console.Console`."""
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render, with surrogates and control characters escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


output = PlainConsole()
errors = PlainConsole(stderr=True)

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
        output.print(text, soft_wrap=True)


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
    console: PlainConsole = errors,
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
    }.get(unit, (rich.MofNCompleteColumn(), rich.TextColumn(unit or "", markup=False)))
    bar = rich.Progress(
        rich.TextColumn("{task.description}", style="progress.description", markup=False),
        *(rich.BarColumn(), rich.TaskProgressColumn(), rich.TimeRemainingColumn()),
        *counts,
        rich.TimeElapsedColumn(),
        rich.TextColumn("{task.fields[note]}", markup=False),
        console=PlainConsole(stderr=True) if keep else console,  # several may be kept at once
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


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a text of parts, which are printed as they are; a part may be (text, style)."""
    return Text.assemble(*parts)


def say(*parts: str | tuple[str, str]) -> None:
    """Print the parts of a line without breaking it; a part may be (text, style)."""
    output.print(styled(*parts), soft_wrap=True)


def tell(*parts: str | tuple[str, str]) -> None:
    """Print the parts of a line on standard error without breaking it."""
    errors.print(styled(*parts), soft_wrap=True)


def say_notice(notice: str) -> None:
    """Print the notice of weights or data, unless it is empty."""
    if notice:
        say((notice, "yellow"))


def warn(text: str) -> None:
    """Print a warning on standard error."""
    tell(("warning:", "yellow"), f" {text}")


def complain(text: str) -> None:
    """Print an error on standard error."""
    tell((text, "red"))


def refuse_existing(path: Path, force: bool) -> None:
    """Raise `NaiadError` for a file or a non-empty folder that exists, unless ``force``."""
    taken = any(path.iterdir()) if path.is_dir() else path.exists()
    if taken and not force:
        raise NaiadError(f"{path} exists; --force overwrites it")
