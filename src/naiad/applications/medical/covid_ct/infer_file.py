"""Many scans through a server: verdicts to the screen, a table and a picture of slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.table import Table
from rich.text import Text

from naiad.applications.medical.covid_ct.client import CovidCtClient, Verdict
from naiad.applications.medical.covid_ct.files import find_scans
from naiad.cli.many_files import Job, Work, run
from naiad.client import Client
from naiad.console import bar, output, say
from naiad.errors import NaiadError

COLUMNS: Final = ("file", "verdict", "probability")

_BAR = 20  # characters of a probability of 1


def infer(job: Job) -> int:
    """Say what scans show; how many failed. Errors as `many_files.run`."""

    def ask(client: Client, scans: Sequence[Path]) -> tuple[str, Iterable[Verdict | NaiadError]]:
        model = CovidCtClient(client.model("monai_covid"))
        answers = model.infer_many(scans, concurrency=job.concurrency, on_error="return")
        return model.notice(), answers

    work: Work[Verdict] = Work(
        application="covid_ct",
        what="scans",
        place="INPUT0[0, 0]",
        find=find_scans,
        ask=ask,
        columns=COLUMNS,
        rows=_rows,
        show=_show,
        picture="naiad.applications.medical.covid_ct.slices",
    )
    return run(job, work)


def _rows(path: Path, verdict: Verdict) -> Iterator[Sequence[object]]:
    yield path, verdict.label, verdict.probability


def _show(found: Sequence[tuple[Path, Verdict]]) -> None:
    table = Table.grid(padding=(0, 2))
    for path, verdict in found:
        style = "bold red" if verdict.positive else "green"
        table.add_row(
            Text(verdict.label, style),
            f"{verdict.probability:.3f}",
            Text(f"{bar(verdict.probability, _BAR):{_BAR}}", style),
            Text(str(path), "dim"),
        )
    output.print(table, highlight=False, soft_wrap=True)
    positive = sum(verdict.positive for _, verdict in found)
    say(f"{len(found):,} scans: {positive:,} positive, {len(found) - positive:,} negative")
