"""The section of ``docs/performance.md`` that a run writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from benchmarks.examples.case import EXAMPLE, NAIAD
from benchmarks.examples.measure import Found
from benchmarks.nugraph3.page import machine

COMMAND = "make bench-examples"

_COLUMNS = (
    *("application", "clients", "example, answers/s", "p50 ms", "Naiad, answers/s", "p50 ms"),
    *("CPU per answer, ratio", "ratio", "range", "target", ""),
)


def section(found: Sequence[Found], *, command: str, when: str) -> str:
    """Return the Markdown between the markers."""
    runs = len(next(iter(found[0].rounds.values())))
    rounds = f"{runs} rounds" if runs > 1 else "one round"
    return "\n".join(
        [
            f"Medians of {rounds} on {when}, and the range of the ratios of answers per second "
            f"within each round; `{command}`. The ratio of the servers' CPU time per answer, the "
            f"example's to Naiad's, depends less on other programs. {machine()}.",
            "",
            f"| {' | '.join(_COLUMNS)} |",
            f"|{'---|' * len(_COLUMNS)}",
            *(row for one in found for row in _rows(one)),
            "",
            "What the examples do, what is asked, and how answers agree:",
            "",
            *_notes(found),
        ]
    )


def _rows(found: Found) -> Iterator[str]:
    for clients in found.rounds:
        _, target, middle, spread, verdict = found.outcome(clients).row()
        if found.case.target is None:
            target = verdict = ""
        cells = [found.case.title, str(clients)]
        for side in (EXAMPLE, NAIAD):
            cells.append(f"{found.middle(clients, side, 'throughput'):,.3g}")
            cells.append(f"{1e3 * found.middle(clients, side, 'p50'):,.3g}")
        cells.append(f"{found.cpu(clients):.3g}")
        yield f"| {' | '.join([*cells, middle, spread, target, verdict])} |"


def _notes(found: Sequence[Found]) -> Iterator[str]:
    """Yield an entry for each way of an example, with the applications that are served so."""
    for example, group in groupby(found, key=lambda one: one.case.example):
        asked = "; ".join(f"{one.case.title}: {one.about}; {one.agreement}" for one in group)
        yield f"- {example[0].upper()}{example[1:]}. {asked[0].upper()}{asked[1:]}."
