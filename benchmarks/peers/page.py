"""The table of ``docs/performance.md`` that a run writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.peers.results import LOAD, Results, Visit
from benchmarks.peers.systems import NAIAD, SYSTEMS
from benchmarks.peers.works import find_work

COMMAND = "make bench-peers"
_SATURATED = 0.8  # of a core; beyond this, the generator itself is the bottleneck


def section(results: Results, *, command: str, when: str) -> str:
    """Return the Markdown between the markers."""
    settings = results.settings
    works = list(dict.fromkeys(trial.work for trial in results.trials))
    rounds = max((visit.round for visit in results.visits), default=-1) + 1
    versions = ", ".join(
        f"{SYSTEMS[name].title} {version}" for name, version in results.versions.items()
    )
    loads = [*(_clients(n) for n in settings.clients), "random arrivals: p50, p99 ms"]
    return "\n".join(
        [
            f"Medians of {rounds} round{'s' * (rounds != 1)} on {when}, with the range of the "
            f"rounds; `{command}`. "
            f"{settings.machine}. {_place(settings.cores, apart=settings.apart)} {versions}.",
            "",
            f"| | {' | '.join(loads)} |",
            f"|---|{'---|' * len(loads)}",
            *(row for work in works for row in _rows(results, work)),
            "",
            *_remarks(results),
        ]
    )


def _rows(results: Results, work: str) -> Iterable[str]:
    settings, rate = results.settings, results.rate(work)
    cells = 1 + len(settings.clients)
    at = "" if rate is None else f"{number(rate)}/s"
    yield f"| **{find_work(work).title}** |{' |' * (cells - 1)} {at} |"
    names = [name for name in SYSTEMS if results.trial(work, name) is not None]
    best = {n: _best_peer(results, work, n) for n in settings.clients}
    for name in names:
        trial = results.trial(work, name)
        assert trial is not None
        visits = results.visits_of(work, name)
        if not visits:
            failed = (v.problem for v in results.visits if (v.work, v.system) == (work, name))
            problem = trial.problem or next(failed, "not measured")
            yield f"| {SYSTEMS[name].title} | {one_line(problem)} |{' |' * (cells - 1)}"
            continue
        speeds = [_speed(visits, n, best=best[n] == name) for n in settings.clients]
        yield f"| {SYSTEMS[name].title} | {' | '.join(speeds)} | {_latencies(visits)} |"
    ratios = [_ratio(results, work, n, best[n]) for n in settings.clients]
    yield f"| *Naiad to the best peer* | {' | '.join(ratios)} | |"


def _best_peer(results: Results, work: str, clients: int) -> str | None:
    """Return the peer with the most answers per second, by the median of its rounds."""
    speeds = {
        name: median(visit.closed[clients].throughput for visit in visits)
        for name in SYSTEMS
        if name != NAIAD and (visits := results.visits_of(work, name))
    }
    return max(speeds, key=speeds.__getitem__, default=None)


def _speed(visits: Sequence[Visit], clients: int, *, best: bool) -> str:
    found = [visit.closed[clients] for visit in visits]
    speeds = [one.throughput for one in found]
    mark = " †" if median(one.generator for one in found) >= _SATURATED else ""
    middle = number(median(speeds))
    return f"{f'**{middle}**' if best else middle}{_range(speeds)}{mark}"


def _latencies(visits: Sequence[Visit]) -> str:
    found = [visit.open for visit in visits if visit.open is not None]
    if not found:
        return ""
    if errors := sorted({error for one in found for error in one.errors}):
        return f"failed: {', '.join(errors)}"
    if sum(one.overloaded for one in found) * 2 > len(found):
        return "overloaded"
    p50, p99 = (median(1e3 * getattr(one, name) for one in found) for name in ("p50", "p99"))
    return f"{number(p50)}, {number(p99)}"


def _ratio(results: Results, work: str, clients: int, peer: str | None) -> str:
    """Return the median and range of the ratios within rounds, and who wins."""
    if peer is None:
        return ""
    theirs = {visit.round: visit for visit in results.visits_of(work, peer)}
    ratios = [
        visit.closed[clients].throughput / theirs[visit.round].closed[clients].throughput
        for visit in results.visits_of(work, NAIAD)
        if visit.round in theirs
    ]
    if not ratios:
        return ""
    wins = f"; **{SYSTEMS[peer].title} wins**" if median(ratios) < 1 else ""
    return f"{median(ratios):.2f}{_range(ratios)}{wins}"


def _remarks(results: Results) -> Iterable[str]:
    waits = [
        f"{SYSTEMS[trial.system].title} with {find_work(trial.work).title}"
        for trial in results.trials
        if trial.wait and not trial.problem
    ]
    yield (
        f"In bold: the best peer at that load. Random arrivals come at {100 * LOAD:.0f} % of the "
        "best peer's highest throughput in a first, short measurement."
    )
    if waits:
        wait = 1e3 * max(trial.wait for trial in results.trials)
        yield (
            f"Batches wait up to {wait:g} ms for more requests where that made a peer faster over "
            f"all numbers of clients: {', '.join(waits)}."
        )
    if any(one.generator >= _SATURATED for v in results.visits for one in v.closed.values()):
        yield "†: the load generator used most of a core, which limits what it measures."


def _place(cores: int, *, apart: bool) -> str:
    return (
        f"{cores} of the cores are the systems', the others the load generator's."
        if apart
        else f"The load generator shares the {cores} cores with the systems."
    )


def _clients(number_of: int) -> str:
    return f"{number_of} client{'s' * (number_of > 1)}, answers/s"


def _range(values: Sequence[float]) -> str:
    return f" ({number(min(values))}-{number(max(values))})" if len(values) > 1 else ""


def number(value: float) -> str:
    """Return a number with three digits, or all before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def one_line(text: str) -> str:
    """Return the beginning of a text for a cell of a table."""
    return " ".join(text.replace("|", "/").split())[:160]
