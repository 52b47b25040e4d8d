"""Counts of instructions by valgrind, which a busy machine does not change.

Virtual machines seldom have the processor's own counter (``perf stat -e instructions:u``). Valgrind
counts in software, once it is told to by a small library of ours: what comes before, such as
imports, runs about 5 times as slow as without it, and what is counted 50 times.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

SOURCE: Final = Path(__file__).parent / "valgrind.c"
HEADERS: Final = Path("/usr/include/valgrind/callgrind.h")
WARM_UP: Final = 3  # calls before the counted one
LONGEST: Final = 3_000  # seconds, on a machine that is busy

_ROOT: Final = Path(__file__).parents[2]


def unavailable() -> str:
    """Return why nothing can be counted here, with the remedy; "" if it can."""
    missing = [name for name in ("valgrind", "cc") if shutil.which(name) is None]
    if not missing and not HEADERS.exists():
        missing = [str(HEADERS)]
    if missing:
        return f"{' and '.join(missing)} missing; run: apt-get install valgrind gcc"
    return ""


def count(names: Iterable[str], cases: str = "benchmarks.quick.cases") -> dict[str, int]:
    """Return the instructions of one warm call of each case.

    Args:
        names: of the cases.
        cases: the module with them, as ``CASES``.

    Raises:
        RuntimeError: counting failed; has valgrind's last lines.
    """
    names = list(names)
    with TemporaryDirectory(prefix="naiad-counts-") as folder:
        library = Path(folder) / "valgrind.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        run = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--error-limit=no"]
        run += [f"--callgrind-out-file={folder}/counts", sys.executable, "-m", __spec__.name]
        done = subprocess.run(
            [*run, str(library), cases, *names],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            cwd=_ROOT,
            # Equal memory and orders of sets in every run.
            env=os.environ | {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
        )
        if done.returncode:
            raise RuntimeError(f"valgrind ended with {done.returncode}: {done.stderr[-2_000:]}")
        return read_counts(Path(folder).glob("counts.*"))


def read_counts(files: Iterable[Path]) -> dict[str, int]:
    """Return instructions by case from the files that callgrind wrote."""
    counts: dict[str, int] = {}
    for file in files:
        text = file.read_text()
        if name := re.search(r"^desc: Trigger: Client Request: (.+)$", text, re.MULTILINE):
            (total,) = re.findall(r"^totals: (\d+)$", text, re.MULTILINE)
            counts[name[1]] = int(total)
    return counts


def call(library: ctypes.CDLL, cases: Mapping[str, Any], names: Iterable[str]) -> None:
    """Call each case, warm, and count its last call.

    Counting is switched on once: valgrind then translates all code anew, which takes seconds.
    """
    works = {name: cases[name]() for name in names}
    for work in works.values():
        for _ in range(WARM_UP):
            work()
    gc.collect()
    gc.disable()
    library.start()
    for name, work in works.items():
        library.begin()
        work()
        library.end(name.encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=ctypes.CDLL)
    parser.add_argument("cases", type=importlib.import_module)
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    call(given.library, given.cases.CASES, given.names)
