"""Naiad's applications against the ways in which their public examples serve them.

    python -m benchmarks.examples [--only NAME ...] [--runs 5] [--seconds 3] [--resume] [--docs]

Each application is served twice at once on the same Triton: as its public example does it, by a
model of Triton's Python backend with the example's settings (one instance, torch's own number of
threads), and by Naiad with its defaults. Both run the same network with the same weights, must give
the same answers, and are measured in turn, round after round. Inputs and random weights are made
here. Run it on an idle machine. --resume keeps the figures of OUTPUT/report.json. The Python
backend needs a Python with NumPy 1: NAIAD_PYTHON_ENVIRONMENT.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.examples.case import Case, Different
from benchmarks.examples.measure import Found, measure
from benchmarks.examples.page import COMMAND, section
from benchmarks.nugraph3.page import machine, write_section
from benchmarks.nugraph3.speed import Moment
from rich.console import Console

from naiad.errors import NaiadError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"


def cases() -> tuple[Case, ...]:
    """Return the applications in the order of the table."""
    from benchmarks.examples import films, gat, inception, medical, products, zero_shot

    modules = (gat, zero_shot, films, products, medical, inception)
    return tuple(case for module in modules for case in module.CASES)


def main(arguments: list[str] | None = None) -> None:
    every = {case.name: case for case in cases()}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.examples",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", choices=every, metavar="NAME", help=", ".join(every)
    )
    parser.add_argument("--runs", type=int, default=5, help="rounds; 5 by default")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--quick", action="store_true", help="small inputs: does it work?")
    parser.add_argument("--output", type=Path, help="write report.json and section.md there")
    parser.add_argument(
        "--docs", action="store_true", help="write the table of docs/performance.md"
    )
    parser.add_argument(
        "--resume", action="store_true", help="keep the figures of --output that --only leaves out"
    )
    args = parser.parse_args(arguments)
    before = read(args.output, every) if args.resume else {}
    names = args.only or [name for name in every if name not in before]
    if args.docs and (args.quick or every.keys() - before.keys() - set(names)):
        parser.error("--docs needs all applications (--resume keeps figures), without --quick")
    for name in names:
        if find_spec(every[name].needs) is None:
            parser.error(f"{name} needs {every[name].needs}, which is not installed")
    os.chdir(ROOT)
    console = Console(stderr=True)
    moment = Moment(args.seconds / 3, args.seconds)
    with TemporaryDirectory() as scratch, console.status("") as status:

        def attempt(case: Case) -> Found | None:
            """Measure a case; report why it cannot be measured, so that the others go on."""
            folder, step = Path(scratch) / case.name, status.update
            try:
                one = measure(
                    case, folder, runs=args.runs, moment=moment, small=args.quick, on_step=step
                )
            except (Different, RuntimeError, NaiadError) as error:
                console.print(f"{case.name}: {error}", style="red", highlight=False, markup=False)
                return None
            console.print(f"{case.name}: {one.agreement}", highlight=False)
            return one

        made = {name: one for name in names if (one := attempt(every[name])) is not None}
    found = [one for name in every if (one := made.get(name, before.get(name))) is not None]
    if not found:
        sys.exit(1)
    command = " ".join(["python -m benchmarks.examples", *(arguments or sys.argv[1:])])
    text = section(found, command=command, when=datetime.now(timezone.utc).strftime("%Y-%m-%d"))
    print(text)
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "section.md").write_text(text + "\n", "utf-8")
        applications = [one.to_json() for one in found]
        report = {"command": command, "machine": machine(), "applications": applications}
        (args.output / "report.json").write_text(json.dumps(report, indent=1), "utf-8")
    if len(made) < len(names):
        sys.exit("some were not measured, see above; the documentation is left as it is")
    if args.docs:
        write_section(PAGE, text, COMMAND)


def read(output: Path | None, every: Mapping[str, Case]) -> dict[str, Found]:
    """Return the measurements of an earlier run, by application."""
    file = None if output is None else output / "report.json"
    if file is None or not file.is_file():
        return {}
    told = json.loads(file.read_text("utf-8"))["applications"]
    return {one["name"]: Found.of_json(every[one["name"]], one) for one in told}


if __name__ == "__main__":
    main()
