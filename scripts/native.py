"""Compile Naiad's C++ for each kind of processor, with the compiler in the wheel ziglang.

    python scripts/native.py [MACHINE ...]

The libraries only need glibc 2.28 (2018) or later: no libstdc++, no Python. `hatch_build.py` adds
them to the wheel. A library that is newer than its sources is not compiled again. Those for aarch64
are compiled, but not run here.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "naiad"
MACHINES = ("x86_64", "aarch64")
GLIBC = "2.28"
LINKED = ("-dynamic", "-O", "ReleaseFast", "-fPIC", "-fstrip", "-lc")
COMPILED = ("-std=c++17", "-fvisibility=hidden", "-Wall", "-Wextra")
JOBS = 4 * (os.cpu_count() or 1)
"""Files of C++'s standard library to compile at once. With one per core, zig 0.17 compiles one at a
time on two cores, which takes twice as long."""


class Library(NamedTuple):
    """A shared library, built as ``lib/MACHINE/NAME`` in the folder ``home`` of the package.

    Attributes:
        linked: more options of the linker.
        compiled: more options of the compiler.
    """

    name: str
    home: str
    source: str
    linked: tuple[str, ...]
    compiled: tuple[str, ...]

    def path(self, machine: str) -> Path:
        """Return the path of the library for ``machine``."""
        return PACKAGE / self.home / "lib" / machine / self.name


LIBRARIES = (
    Library(
        "libtriton_naiad.so",
        home="native",
        source="backend.cpp",
        # The process that loads it has Triton's functions.
        linked=("-lc++", "-fallow-shlib-undefined", "-lpthread", "-ldl"),
        compiled=("-O2",),
    ),
    Library(
        "libnugraph.so",
        home="applications/nugraph",
        source="cpp/library.cpp",
        # It does not need C++'s standard library.
        linked=(),
        compiled=("-O3", "-fno-exceptions", "-fno-rtti", "-Werror"),
    ),
)


def build(library: Library, machine: str) -> Path:
    """Compile a library for ``machine``, if it is older than its sources; return its path.

    Raises:
        RuntimeError: the compiler is missing, or fails; has its output.
    """
    path, source = library.path(machine), PACKAGE / library.home / library.source
    newest = max(file.stat().st_mtime for file in (*source.parent.glob("*.[hc]*"), Path(__file__)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.parent):
        if path.is_file() and path.stat().st_mtime >= newest:
            return path
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=path.parent) as draft:
            made = Path(draft) / library.name
            compile_library(library, source, made, machine)
            made.replace(path)
    return path


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Lock a folder, so that other processes wait for this one's build and use it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def compile_library(library: Library, source: Path, made: Path, machine: str) -> None:
    """Compile ``source`` for the library; raise RuntimeError with the compiler's output."""
    linker = (sys.executable, "-m", "ziglang", "build-lib", f"-j{JOBS}", f"-femit-bin={made}")
    target = ("-target", f"{machine}-linux-gnu.{GLIBC}", "-fsoname=" + library.name)
    options = (*LINKED, *library.linked, "-cflags", *COMPILED, *library.compiled, "--")
    command = [*linker, *target, *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    made.chmod(0o755)


def build_all(*machines: str) -> list[Path]:
    """Compile every library for these machines in parallel; return their paths."""
    with ThreadPoolExecutor() as pool:
        builds = [pool.submit(build, made, m) for m in machines for made in LIBRARIES]
        return [done.result() for done in builds]


def main() -> None:
    """Build for the machines on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("machines", nargs="*", metavar="MACHINE", help="by default all")
    for path in build_all(*parser.parse_args().machines or MACHINES):
        print(path)


if __name__ == "__main__":
    main()
