"""Compare the instructions of hot paths with the baseline of this kind of machine.

    python -m benchmarks.quick [--only TEXT] [--update]

Fails if a case takes over a tenth more instructions than its baseline in
``benchmarks/quick/baselines.json``. Without a baseline for this processor, Python, torch and NumPy
it says so; ``--update`` stores one.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.quick.baselines import (
    STORED,
    Change,
    compare,
    machine_kind,
    read_baseline,
    write_baseline,
)
from benchmarks.quick.cases import CASES
from benchmarks.quick.counting import count, unavailable
from rich.console import Console
from rich.table import Table


def main(arguments: list[str] | None = None) -> int:
    """Count, compare and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="quick", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with this in their name")
    parser.add_argument("--update", action="store_true", help="store the counts as the baseline")
    args = parser.parse_args(arguments)
    if why := unavailable():
        print(f"instructions cannot be counted: {why}", file=sys.stderr)
        return 2
    names = [name for name in CASES if args.only in name]
    if not names:
        parser.error(f"no case has {args.only!r} in its name; cases: {', '.join(CASES)}")
    kind = machine_kind()
    counts = count(names)
    before = read_baseline(kind)
    changes = compare(before or {}, {name: counts[name] for name in names})
    console = Console()
    console.print(table([one for one in changes if one.now is not None], kind))
    if args.update:
        write_baseline(kind, counts)
        console.print(f"stored in {STORED}")
        return 0
    if before is None:
        console.print(f"{STORED.name} has no baseline for {kind}: nothing is compared; --update")
    slower = [change.name for change in changes if change.verdict == "slower"]
    if slower:
        console.print(f"over a tenth more instructions: {', '.join(slower)}")
    return 1 if slower else 0


def table(changes: list[Change], kind: str) -> Table:
    """Return a table of changes."""
    shown = Table(title=f"Instructions of one call; {kind}", title_justify="left")
    for name in ("case", "baseline", "now", "ratio", ""):
        shown.add_column(name, justify="left" if name in ("case", "") else "right")
    for one in changes:
        before = "" if one.before is None else f"{one.before:,}"
        ratio = "" if one.ratio is None else f"{one.ratio:.3f}"
        shown.add_row(one.name, before, f"{one.now or 0:,}", ratio, one.verdict)
    return shown


if __name__ == "__main__":
    sys.exit(main())
