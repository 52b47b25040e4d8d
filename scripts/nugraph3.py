"""Build NuGraph3's inference for every kind of processor, with the compiler of the wheel ziglang.

    python scripts/nugraph3.py [MACHINE ...]

The libraries need a glibc of 2.28 (2018) or later and nothing else. They are part of the wheel. One
that is newer than its sources is left as it is. That for aarch64 is compiled and not run here.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "naiad" / "pipelines" / "nugraph3"
SOURCES = PACKAGE / "cpp"
MACHINES = ("x86_64", "aarch64")
FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-s"),
    # It needs nothing of C++'s library, whose headers are left away.
    *("-x", "c++", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror"),
)


def build(machine: str, output: Path = PACKAGE / "lib") -> Path:
    """Build the library for ``machine``, where it is older than its sources; return its path.

    Raises:
        RuntimeError: the compiler is missing, or refuses the sources; has what it wrote.
    """
    library = output / machine / "libnugraph3.so"
    newest = max(path.stat().st_mtime for path in (*SOURCES.iterdir(), Path(__file__)))
    if library.is_file() and library.stat().st_mtime >= newest:
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=library.parent) as draft:
        made = Path(draft) / library.name
        compile_library(SOURCES / "nugraph3.cpp", made, machine)
        made.replace(library)
    return library


def compile_library(source: Path, library: Path, machine: str) -> None:
    """Compile ``source``. Raises RuntimeError with what the compiler wrote."""
    compiler = (sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-gnu.2.28")
    command = [*compiler, *FLAGS, "-o", str(library), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    library.chmod(0o755)


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help="by default all")
    for machine in parser.parse_args().machines or MACHINES:
        print(build(machine))


if __name__ == "__main__":
    main()
