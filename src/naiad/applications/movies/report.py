"""Picks for the terminal and for spreadsheets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from naiad.applications.movies.picks import Pick
from naiad.console import bar, output

COLUMNS: Final = (
    *("rank", "id", "title", "year", "score"),
    *("people", "genres", "liked", "users"),
)

_BAR = 16  # characters of a score of 1


def print_picks(picks: Sequence[Pick], about: str) -> None:
    """Print films with a bar for each score, and why each was picked."""
    output.print(Text(about, "bold"), soft_wrap=True)
    if not picks:
        output.print("no film", highlight=False)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_column(width=_BAR, no_wrap=True)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for rank, pick in enumerate(picks, start=1):
        style = "bold green" if rank == 1 else ""
        table.add_row(
            str(rank),
            Text(pick.name, style),
            Text(bar(min(max(pick.score, 0.0), 1.0), _BAR), style or "dim"),
            f"{pick.score:.3f}",
            Text(str(pick.why), "dim"),
        )
    output.print(table, highlight=False)


def table_row(rank: int, pick: Pick) -> list[object]:
    """A film as a row of a table; several people or films are joined by ``; ``."""
    why = pick.why
    lists = ("; ".join(names) for names in (why.people, why.genres, why.liked))
    return [rank, pick.id, pick.title, pick.year or "", f"{pick.score:.6g}", *lists, why.users]
