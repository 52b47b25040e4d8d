"""``naiad bench``: measure throughput and latency of a served model."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from naiad.cli.connect import given_access
from naiad.cli.options import Local, Seconds, Url, time_option
from naiad.console import errors, output, say, say_notice
from naiad.printable import encodable

if TYPE_CHECKING:
    from naiad.bench.load import Load
    from naiad.bench.measure import Level
    from naiad.bench.report import Comparison, Report
    from naiad.bench.session import Settings
    from naiad.bench.tables import Table as Rows
    from naiad.client.access import Access

_LOADS = "1,2,4,8,16"


def bench(
    model: Annotated[
        str,
        typer.Argument(
            help="A model's name on the server, or my_model.py:MyModel.", show_default=False
        ),
    ],
    url: Url = "localhost:8001",
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Concurrent clients, each waiting for its answer (closed loop); "
            f"{_LOADS} if no load is given.",
        ),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(metavar="R,...", help="Poisson arrivals per second (open loop)."),
    ] = None,
    find_max: Annotated[
        bool, typer.Option("--find-max", help="Find the highest rate that keeps --p99.")
    ] = False,
    p99: Annotated[
        float, time_option("With --find-max: bound on the 99th percentile of latency.")
    ] = Seconds(0.1),
    duration: Annotated[
        float,
        time_option(
            "Time per load, in three windows; up to three times as long if they do not agree."
        ),
    ] = Seconds(10),
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File of the application's data to take requests from."),
    ] = None,
    metrics_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The server's metrics; by default as announced by a server on this host, or "
            "port 8002 of another host.",
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Print ratios to the report.json of an earlier run."),
    ] = None,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write report.json and report.html to this folder.",
        ),
    ] = None,
    local: Local = False,
) -> None:
    """Measure a served model: throughput, latency, batches, and time per stage.

    [bold]Examples[/]

      naiad bench nugraph3
      naiad bench nugraph3 --data events.h5 --concurrency 1,8 --output report/
      naiad bench nugraph3 --rate 20,40,80 --duration 30s
      naiad bench nugraph3 --find-max --p99 100ms
      naiad bench my_model.py:MyModel --local --compare report/report.json
    """
    from naiad.bench.report import compare as compare_with
    from naiad.bench.report import read_baseline
    from naiad.bench.session import Settings

    loads = (
        *_loads("concurrency", concurrency or ("" if rate or find_max else _LOADS)),
        *_loads("rate", rate or ""),
    )
    settings = Settings(
        model=model,
        loads=loads,
        duration=float(duration),
        find_max=float(p99) if find_max else None,
        data=data,
        metrics_url=metrics_url,
    )
    baseline = read_baseline(compare) if compare is not None else None
    if directory is not None:
        import_module("naiad.bench.html")  # report a missing extra before the work
        directory.mkdir(parents=True, exist_ok=True)
    report = _measure_locally(settings) if local else _measure(settings, url, given_access())
    comparisons = compare_with(report.levels, baseline) if baseline is not None else []
    _print(report, comparisons)
    if baseline is not None and not comparisons:
        errors.print(f"{compare} has none of these loads; nothing to compare")
    if directory is not None:
        _write(report, comparisons, directory)
    if not any(level.latency for level in report.levels):
        raise typer.Exit(1)


def _measure_locally(settings: Settings) -> Report:
    from dataclasses import replace

    from naiad.client.access import NO_ACCESS
    from naiad.triton.serving import serve

    with errors.status("starting Triton"):
        server = serve(settings.model, http_port=0, grpc_port=0, metrics_port=0)
    with server:
        found = replace(settings, metrics_url=server.metrics_url)
        return _measure(found, server.grpc_url, NO_ACCESS)


def _measure(settings: Settings, url: str, access: Access) -> Report:
    from naiad.bench.session import measure_all

    with _progress() as show:
        return measure_all(settings, url, access=access, on_load=show.load, on_level=show.level)


class _Progress:
    """Status with the current load, and a line for each finished one."""

    def load(self, load: Load) -> None:
        self._status.update(f"measuring {load}")

    def level(self, level: Level) -> None:
        p99 = f", p99 {1e3 * level.latency.p99:.1f} ms" if level.latency else ""
        errors.print(f"{level.load}: {level.throughput:,.1f} answers/s{p99}")

    def __init__(self) -> None:
        self._status = errors.status("preparing requests")

    def start(self) -> None:
        self._status.start()

    def stop(self) -> None:
        self._status.stop()


@contextmanager
def _progress() -> Generator[_Progress]:
    shown = _Progress()
    shown.start()
    try:
        yield shown
    finally:
        shown.stop()


def _print(report: Report, comparisons: list[Comparison]) -> None:
    from naiad.bench.tables import comparison_table, speed_table, stage_table

    print_table(speed_table(report.levels))
    stages = stage_table(report.levels)
    if stages is not None:
        print_table(stages)
    if comparisons:
        print_table(comparison_table(comparisons))
    say(f"requests: {report.requests}")
    if report.search is not None:
        say((report.search.text(), "bold"))
    for note in report.all_notes():
        say_notice(note)


def print_table(rows: Rows) -> None:
    """Print a table, with numbers aligned to the right."""
    table = Table(title=rows.title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    for number, name in enumerate(rows.columns):
        table.add_column(name, justify="right" if number else "left", no_wrap=not number)
    for row in rows.rows:
        table.add_row(*row)
    output.print(table)


def _write(report: Report, comparisons: list[Comparison], directory: Path) -> None:
    from naiad.bench.html import write_html

    (directory / "report.json").write_text(report.to_json(), "utf-8")
    page = directory / "report.html"
    page.write_text(encodable(write_html(report, comparisons)), "utf-8")
    say("wrote ", (str(page), "bold"))


def _loads(kind: str, listed: str) -> tuple[Load, ...]:
    from naiad.bench.load import Load

    loads: list[Load] = []
    for word in filter(None, listed.split(",")):
        try:
            value = float(int(word)) if kind == "concurrency" else float(word)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            whole = "whole " if kind == "concurrency" else ""
            raise typer.BadParameter(
                f"--{kind} takes {whole}numbers above 0 separated by commas, such as 1,2,4; "
                f"not {word!r}"
            )
        loads.append(Load("concurrency" if kind == "concurrency" else "rate", value))
    return tuple(loads)
