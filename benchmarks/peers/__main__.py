"""Naiad against other model servers, with the same networks and the same load.

    python -m benchmarks.peers [--works echo,gat] [--peers litserve,ray] [--runs 5] [--docs]

Makes an environment for each peer, checks that all give the answers of the network in this process,
and measures them in turn, round after round. Each is started once for a work, and paused while
others have their turn. Run it on an idle machine. Stop it with Ctrl-C, and go on with --resume.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from benchmarks.nugraph3.page import machine, write_section
from benchmarks.nugraph3.speed import Moment
from benchmarks.peers.environments import python_of, version_of
from benchmarks.peers.measuring import Job, make_job, trial, visit
from benchmarks.peers.pace import Pace
from benchmarks.peers.page import COMMAND, section
from benchmarks.peers.processes import ROOT, Cores, Failed, adopt_orphans
from benchmarks.peers.results import Results, Settings, Trial, read_results
from benchmarks.peers.stage import Stage
from benchmarks.peers.systems import NAIAD, SYSTEMS, System
from benchmarks.peers.works import NAMES
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from naiad.artifacts import cache_directory

PAGE = ROOT / "docs" / "performance.md"
CLIENTS = (1, 16, 64)
REQUESTS = 32
"""Different requests of each work, which repeat."""

_LEAD_IN = 0.2  # of the seconds of a measurement; each system was warmed up
_TRIAL, _VISIT = "trial", "visit"

console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parser().parse_args(arguments)
    output, environments = args.output.absolute(), args.environments.absolute()
    os.chdir(ROOT)  # for the systems to find this package
    adopt_orphans()
    cores = Cores.divided(sorted(os.sched_getaffinity(0)))
    settings = Settings(args.clients, args.seconds, len(cores.systems), cores.apart, machine())
    output.mkdir(parents=True, exist_ok=True)
    file = output / "results.json"
    results = Results(settings)
    if args.resume and file.exists():
        results = read_results(file, settings)
    os.sched_setaffinity(0, cores.generator)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # paused processes must be ended
    systems = [SYSTEMS[NAIAD], *(SYSTEMS[name] for name in args.peers)]
    try:
        pythons = install(systems, environments)
        results.versions |= {system.name: version_of(system) for system in systems}
        measure(results, file, args, pythons, cores)
    except KeyboardInterrupt:
        console.print(
            f"Stopped. Finished work is in {output}; run the same command with --resume to go on.",
            highlight=False,
        )
        sys.exit(130)
    command = " ".join(["python -m benchmarks.peers", *arguments])
    when = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    text = section(results, command=command, when=when)
    print(text)
    (output / "section.md").write_text(text + "\n", "utf-8")
    if args.docs:
        write_section(PAGE, text, COMMAND)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    peers = tuple(name for name in SYSTEMS if name != NAIAD)
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--works", type=_some_of(NAMES), default=NAMES, help=f"of {', '.join(NAMES)}; all"
    )
    made.add_argument(
        "--peers", type=_some_of(peers), default=peers, help=f"of {', '.join(peers)}; all"
    )
    made.add_argument("--runs", type=int, default=5, help="rounds; 5 by default")
    made.add_argument("--seconds", type=float, default=1.5, help="of each measurement; 1.5")
    made.add_argument(
        "--clients", type=_numbers, default=CLIENTS, help="numbers at once; 1,16,64 by default"
    )
    made.add_argument(
        "--environments",
        type=Path,
        default=cache_directory() / "benchmark-peers",
        help="folder of the peers' environments; by default in Naiad's cache",
    )
    made.add_argument(
        "--output",
        type=Path,
        default=ROOT / "bench-output" / "peers",
        help="write results.json and section.md there; bench-output/peers by default",
    )
    made.add_argument(
        "--resume", action="store_true", help="go on with the results in the output folder"
    )
    made.add_argument("--docs", action="store_true", help="write the table of docs/performance.md")
    return made


def install(systems: Sequence[System], environments: Path) -> dict[str, Path | str]:
    """Return each system's Python, or why it has none."""
    pythons: dict[str, Path | str] = {}
    with console.status("installing") as status:
        for system in systems:
            status.update(f"installing {system.title}")
            try:
                pythons[system.name] = python_of(system, environments)
            except Failed as error:
                pythons[system.name] = str(error)
    return pythons


def measure(
    results: Results,
    file: Path,
    args: argparse.Namespace,
    pythons: Mapping[str, Path | str],
    cores: Cores,
) -> None:
    """Make the trials and visits that the results do not have yet, and write each at once."""
    moment = Moment(_LEAD_IN * args.seconds, args.seconds)
    installed = {name: python for name, python in pythons.items() if isinstance(python, Path)}
    to_do = {work: left_to_do(results, work, [*installed], args.runs) for work in args.works}
    pace = _pace(to_do.values(), args)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=sum(map(len, to_do.values())))
        for work, parts in to_do.items():
            for name, python in pythons.items():
                if name not in installed and results.trial(work, name) is None:
                    results.trials.append(Trial(work, name, problem=str(python)))
            if not parts:
                continue
            job = make_job(work, REQUESTS, args.clients, moment)
            with closing(Stage(work, cores)) as stage:
                for name, number in parts:
                    words = f"{work}, {SYSTEMS[name].title}, {_part(number)}"
                    progress.update(task, description=f"{words}, {_minutes(pace)} left")
                    if _is_done(results, work, name, number):  # it failed its trial
                        pace.skip(_kind(number))
                    else:
                        with pace.part(_kind(number)):
                            _measure_one(
                                results, job, stage, SYSTEMS[name], installed[name], number
                            )
                        results.write(file)
                    progress.advance(task)
            console.print(f"{work}: {stage.clock}; {_minutes(pace)} left", highlight=False)


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """Return names in the order of a round, so that none always follows the same one."""
    turn = max(0, number) % len(names)
    return [*names[turn:], *names[:turn]]


def left_to_do(
    results: Results, work: str, names: Sequence[str], runs: int
) -> list[tuple[str, int]]:
    """Return the systems and rounds to measure, in order; round -1 are the trials."""
    return [
        (name, number)
        for number in range(-1, runs)
        for name in in_turn(names, number)
        if not _is_done(results, work, name, number)
    ]


def _pace(to_do: Iterable[Sequence[tuple[str, int]]], args: argparse.Namespace) -> Pace:
    """Return the pace of a run, with guesses for its first minutes."""
    loop = args.seconds * (1 + _LEAD_IN)
    guess = {_TRIAL: 20 + loop * len(args.clients), _VISIT: 2 + loop * (1 + len(args.clients))}
    return Pace(guess, Counter(_kind(number) for parts in to_do for _, number in parts))


def _kind(number: int) -> str:
    return _TRIAL if number < 0 else _VISIT


def _part(number: int) -> str:
    return "trial" if number < 0 else f"round {number + 1}"


def _minutes(pace: Pace) -> str:
    return f"about {pace.remaining / 60:.0f} min"


def _is_done(results: Results, work: str, name: str, number: int) -> bool:
    found = results.trial(work, name)
    if number < 0 or (found is not None and found.problem):
        return found is not None
    return results.visit(work, name, number) is not None


def _measure_one(
    results: Results, job: Job, stage: Stage, system: System, python: Path, number: int
) -> None:
    if number < 0:
        results.trials.append(trial(job, stage, system, python))
    else:
        tried = results.trial(job.name, system.name)
        assert tried is not None
        rate = results.rate(job.name)
        results.visits.append(visit(job, stage, system, python, tried.wait, rate, number))


def _numbers(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{min(numbers)} clients; at least 1")
    return numbers


def _some_of(names: Sequence[str]):
    def chosen(text: str) -> tuple[str, ...]:
        found = tuple(text.split(","))
        if unknown := set(found) - set(names):
            raise argparse.ArgumentTypeError(f"{min(unknown)!r} is not one of {', '.join(names)}")
        return found

    return chosen


if __name__ == "__main__":
    main()
