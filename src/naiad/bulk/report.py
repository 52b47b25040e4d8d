"""Table of failures: file, event, reason."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from naiad.bulk.inputs import Input
from naiad.bulk.journal import Done
from naiad.files import write_whole
from naiad.printable import encodable

FAILURES: Final = "failures.csv"
COLUMNS: Final = ("file", "number", "name", "reason")


def write_failures(
    results: Path, done: Iterable[tuple[Input, Done]], unread: Mapping[Path, str]
) -> Path | None:
    """Write the table to the folder of results, or remove an old one if nothing failed.

    ``done`` has inputs with the outcome of their items; ``unread`` has inputs that could not be
    opened, and the reason: their rows have neither number nor name.
    """
    path = results / FAILURES
    rows = [(str(file), "", "", reason) for file, reason in unread.items()]
    rows += [
        (str(target.path), str(failure.number), failure.name, failure.reason)
        for target, result in done
        for failure in result.failures
    ]
    if not rows:
        path.unlink(missing_ok=True)
        return None
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    table.writerows(rows)
    write_whole(path, encodable(text.getvalue()).encode())
    return path
