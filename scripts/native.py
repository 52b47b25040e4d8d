"""Build the native backend for every kind of processor, with the compiler of the wheel ziglang.

    python scripts/native.py [--output DIR] [MACHINE ...]

The libraries need a glibc of 2.28 (2018) or later and nothing else: no libstdc++, no Python. They
are part of the wheel; `hatch_build.py` makes them when it is built. One that is newer than its
sources is left as it is. That for aarch64 is compiled and not run here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src" / "naiad" / "native"
MACHINES = ("x86_64", "aarch64")
GLIBC = "2.28"
FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread", "-s"),
    # What it calls of Triton is in the process that loads it.
    "-Wl,--allow-shlib-undefined",
)


def build(machine: str, output: Path = SOURCES / "lib") -> Path:
    """Build the library for ``machine``, where it is older than its sources; return its path.

    Raises:
        RuntimeError: the compiler is missing, or refuses the sources; has what it wrote.
    """
    library = output / machine / "libtriton_naiad.so"
    sources = sorted(SOURCES.glob("*.[hc]*"))
    newest = max(path.stat().st_mtime for path in (*sources, Path(__file__)))
    if library.is_file() and library.stat().st_mtime >= newest:
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=library.parent) as draft:
        made = Path(draft) / library.name
        target = f"{machine}-linux-gnu.{GLIBC}"
        compiler = (sys.executable, "-m", "ziglang", "c++", "-target", target)
        command = [*compiler, *FLAGS, "-o", str(made), str(SOURCES / "backend.cpp"), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        made.chmod(0o755)
        made.replace(library)
    return library


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help="by default all")
    parser.add_argument("--output", type=Path, default=SOURCES / "lib")
    args = parser.parse_args()
    with ThreadPoolExecutor() as pool:
        builds = [pool.submit(build, m, args.output) for m in args.machines or MACHINES]
        for done in builds:
            print(done.result())


if __name__ == "__main__":
    main()
