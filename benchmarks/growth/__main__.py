"""Measure how cost grows with size, and fit the exponents.

    python -m benchmarks.growth [--only NAME] [--largest N] [--quick] [--docs]

Each curve runs in a process of its own and writes OUTPUT/NAME.json; sizes that do not fit in the
free memory are left out. With --docs, docs/performance.md gets a table of every curve that has been
measured. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.growth.curve import Curve, Effort
from benchmarks.growth.page import COMMAND, Values, plot, table
from benchmarks.nugraph3.page import machine, write_section

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "growth.webp"
OUTPUT = ROOT / "bench-output" / "growth"

NAMES = ("hits", "edges", "clients", "models", "waiting", "stores", "nodes", "servers")

_QUICK = Effort(runs=1, seconds=0.4)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=NAMES, help="measure this curve alone")
    parser.add_argument("--largest", type=int, help="largest size of any curve")
    parser.add_argument("--runs", type=int, default=5, help="rounds; 5 by default")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement of a load")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it work?")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder of the figures")
    parser.add_argument("--docs", action="store_true", help="write docs/performance.md")
    given = parser.parse_args(arguments)
    output: Path = given.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    os.chdir(ROOT)  # for workers to find this package
    failed: list[str] = []
    if given.only:
        measure(given.only, given, output)
    else:
        failed = [name for name in NAMES if apart(name, given, output)]
    if given.docs:
        write_docs(output)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def apart(name: str, given: argparse.Namespace, output: Path) -> int:
    """Measure a curve in a process of its own, which may run out of memory; return its status."""
    options = [f"--{option}={getattr(given, option)}" for option in ("runs", "seconds")]
    options += [f"--largest={given.largest}"] if given.largest else []
    options += ["--quick"] if given.quick else []
    command = [sys.executable, "-m", "benchmarks.growth", f"--only={name}", f"--output={output}"]
    return subprocess.run([*command, *options], check=False).returncode


def measure(name: str, given: argparse.Namespace, output: Path) -> None:
    """Measure a curve, print its table and write its figures."""
    curve = curve_of(name)
    effort = _QUICK if given.quick else Effort(given.runs, given.seconds)
    sizes = [*curve.tiny] if given.quick else curve.possible(given.largest)
    if not sizes:
        sys.exit(f"{name}: no size is at most {given.largest} and fits in the free memory")
    if left := [size for size in curve.sizes if size > max(sizes)]:
        print(f"{name}: without {', '.join(f'{size:,}' for size in left)} {curve.size}", flush=True)
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for series, size, value in curve.measure(sizes, effort):
        values[series][size].append(value)
    print(table(curve, values), end="\n\n", flush=True)
    report = {
        "machine": machine(),
        "when": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "runs": effort.runs,
        "values": values,
    }
    (output / f"{name}.json").write_text(json.dumps(report, indent=1), "utf-8")


def write_docs(output: Path) -> None:
    """Write the tables and the picture of all curves that have been measured."""
    found: dict[Curve, Values] = {}
    made: set[str] = set()
    for name in NAMES:
        path = output / f"{name}.json"
        if not path.exists():
            continue
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found[curve_of(name)] = {
            series: {int(size): values for size, values in sizes.items()}
            for series, sizes in report["values"].items()
        }
        made.add(f"{report['when']}, {report['runs']} rounds, {report['machine']}")
    plot(found, PICTURE)
    link = PICTURE.relative_to(PAGE.parent)
    parts = [
        f"`python -m benchmarks.growth --docs`; {'; '.join(sorted(made))}. Medians, with the range "
        "of the rounds.",
        f"![Cost by size]({link})",
        *(table(curve, values) for curve, values in found.items()),
    ]
    write_section(PAGE, "\n\n".join(parts), COMMAND)


def curve_of(name: str) -> Curve:
    """Return the curve of a module; imported when needed, as they need different packages."""
    return import_module(f"benchmarks.growth.{name}").CURVE


if __name__ == "__main__":
    main()
