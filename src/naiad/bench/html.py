"""A report as a self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from naiad.bench.plots import speed_plot, stage_plot
from naiad.bench.report import Comparison, Report
from naiad.bench.tables import Table, batch_table, comparison_table, speed_table, stage_table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .2em .7em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
svg { max-width: 100%; height: auto; }
.note { color: #9a5b00; }
"""


def write_html(report: Report, comparisons: Sequence[Comparison] = ()) -> str:
    """Return the report as HTML, with its tables, plots and notes.

    Importing this module raises `MissingExtra` if matplotlib is not installed.
    """
    stages, batches = stage_table(report.levels), batch_table(report.levels)
    parts = [
        f"<h1>naiad bench {escape(report.model)}</h1>",
        f"<p>{escape(report.url)}; requests: {escape(report.requests)}<br>"
        f"{escape(report.when)}; Naiad {escape(report.version)}; load generator on "
        f"{escape(report.machine)}; windows of {report.window:g} s</p>",
        *([f"<p><b>{escape(report.search.text())}</b></p>"] if report.search else []),
        _table(speed_table(report.levels)),
        speed_plot(report.levels),
        *([_table(stages), stage_plot(report.levels) or ""] if stages else []),
        *([_table(batches)] if batches else []),
        *([_table(comparison_table(comparisons))] if comparisons else []),
        *(f'<p class="note">{escape(note)}</p>' for note in report.all_notes()),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f"<title>naiad bench {escape(report.model)}</title><style>{_STYLE}</style>\n"
        + "\n".join(parts)
        + "\n</html>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in table.rows
    )
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="wide"><table><tr>{head}</tr>\n{rows}'
        "</table></div>"
    )
