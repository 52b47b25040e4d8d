"""The report of applications that have none of their own."""

from __future__ import annotations

from typing import Any, Final

from rich.text import Text

from naiad.console import print_columns, say
from naiad.tasks.tables import block_of, rows_of
from naiad.tasks.task import Found, Report, Reports, Task

_SHOWN: Final = 20  # rows


class RowsReport:
    """The default `Report`: the first rows of the table."""

    def __init__(self, task: Task[Any, Any], card: Any, options: Any) -> None:
        """Begin without results."""
        self._task = task
        self._columns = task.columns_of(card, options)
        self._rows: list[list[Text | str]] = []
        self._units = 0

    def add(self, found: Found) -> None:
        """Take one more result."""
        self._units += 1
        if len(self._rows) >= _SHOWN:
            return
        rows = self._task.rows(found.result)
        block, size = block_of(self._columns, rows, found.name, self._units - 1)
        for row in rows_of(self._columns, block, size):
            if len(self._rows) >= _SHOWN:
                return
            self._rows.append([_cell(value) for value in row])

    def print(self, seconds: float) -> None:
        """Print the first rows, and the number of units."""
        print_columns(self._rows, [column.name for column in self._columns])
        say(f"{self._units:,} {self._task.unit} in {seconds:.1f} s")


def _cell(value: object) -> Text:
    if value is None:
        return Text()
    return Text(f"{value:.4g}" if isinstance(value, float) else str(value))


def report_of(task: Task[Any, Any], count: int, card: Any, options: Any) -> Report:
    """Return the task's own report, or the default one, for ``count`` units."""
    if isinstance(task, Reports):
        return task.report(count, card, options)
    return RowsReport(task, card, options)
