"""Many scans through a server: verdicts to the screen, a table and a picture of slices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from naiad.cli.console import bar, output, refuse_existing
from naiad.cli.many_files import CsvWriter, collect, connected, say
from naiad.client import Client
from naiad.pipelines.covid_ct.client import CovidCtClient, Verdict
from naiad.pipelines.covid_ct.files import find_scans

MODEL: Final = "monai_covid"
COLUMNS: Final = ("file", "verdict", "probability")

_BAR = 20  # characters of a probability of 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some scans.

    Attributes:
        paths: files, and folders of files.
        url: of the server; None to start one for this job.
        weights: of a server that is started.
        csv: file for the results.
        plot: file for a picture.
        concurrency: scans with the server at once.
        timeout: seconds per scan.
        force: overwrite csv and plot.
    """

    paths: Sequence[Path]
    url: str | None = None
    weights: Path | None = None
    csv: Path | None = None
    plot: Path | None = None
    concurrency: int = 4
    timeout: float = 300.0
    force: bool = False


def infer(job: Job) -> int:
    """Run the job; how many scans failed.

    Raises:
        NaiadError: what is to be written exists, or a folder has no scan; or as
            :func:`naiad.cli.many_files.connected`.
    """
    for path in (job.csv, job.plot):
        if path is not None:
            refuse_existing(path, job.force)
    if job.plot is not None:
        import_module("naiad.pipelines.covid_ct.slices")  # says so, where a library is missing
    scans = list(find_scans(job.paths))
    with connected("covid_ct", job.url, timeout=job.timeout, weights=job.weights) as client:
        return _run(job, scans, client)


def _run(job: Job, scans: Sequence[Path], client: Client) -> int:
    model = CovidCtClient(client.model(MODEL))
    notice = model.notice()  # a server without the model is found before anything is written
    with ExitStack() as stack:
        table = stack.enter_context(CsvWriter(job.csv, COLUMNS)) if job.csv is not None else None

        def add(path: Path, verdict: Verdict) -> None:
            if table is not None:
                table.add(path, verdict.label, verdict.probability)

        answers = model.infer_many(scans, concurrency=job.concurrency, on_error="return")
        found = collect(client, scans, answers, what="scans", place="INPUT0[0, 0]", on_answer=add)
    if found:
        _print(found)
    if notice:
        say(f"[yellow]{escape(notice)}[/]")
    if job.csv is not None:
        say(f"wrote [bold]{escape(str(job.csv))}[/]")
    if job.plot is not None and found:
        from naiad.pipelines.covid_ct.slices import MOST, draw

        draw(found[:MOST], job.plot, notice)
        part = f"the first {MOST} scans" if len(found) > MOST else "the scans"
        say(f"drew {part} into [bold]{escape(str(job.plot))}[/]")
    return len(scans) - len(found)


def _print(found: Sequence[tuple[Path, Verdict]]) -> None:
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
