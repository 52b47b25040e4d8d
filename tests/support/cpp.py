"""The C++ programs of clients/cpp, built once for all processes of a test run."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.markdown import ROOT

PACKAGES = (ROOT / "clients" / "cpp" / "packages.txt").read_text().split()
"""What the client and its tests are built with, as Debian calls it."""

_HEADERS = """
#if !__has_include(<grpcpp/grpcpp.h>) || !__has_include(<doctest/doctest.h>)
#error missing
#elif !__has_include(<hdf5.h>) && !__has_include(<hdf5/serial/hdf5.h>)
#error missing
#endif
"""

_SANITIZED = "-g1 -fno-omit-frame-pointer -fno-sanitize-recover=all -fsanitize="
_VARIANTS = {
    "": ("-O0", "ON"),
    # The library's sources in few units, as headers take half of the time.
    "address,undefined": ("-O0", "ON"),
    # File by file, as people build it. With the macro, protobuf's headers (3.21) declare larger
    # classes than its library has, which is built without it.
    "thread": ("-O1 -U__SANITIZE_THREAD__", "OFF"),
}


@functools.cache
def missing() -> str:
    """Return the reason why nothing can be built here, or ""."""
    tools = ("cmake", "g++", "protoc", "grpc_cpp_plugin")
    if all(map(shutil.which, tools)):
        preprocess = ["g++", "-std=c++17", "-E", "-x", "c++", "-", "-o", os.devnull]
        found = subprocess.run(preprocess, input=_HEADERS, text=True, capture_output=True)
        if found.returncode == 0:
            return ""
    return f"the C++ client needs, to be built here: apt-get install {' '.join(PACKAGES)}"


def build(sanitizers: str, *targets: str) -> Path:
    """Build the test programs, or some of them, and return their folder.

    ``sanitizers`` is a key of the variants; "" builds without.
    One process of a test run builds, the others wait; a later run rebuilds changed files.
    """
    folder = ROOT / "build" / f"cpp-{sanitizers.replace(',', '-') or 'plain'}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        further, unity = _VARIANTS[sanitizers]
        instrumented = f"{_SANITIZED}{sanitizers} " if sanitizers else ""
        flags = [
            f"-DCMAKE_CXX_FLAGS={instrumented}{further}",
            f"-DCMAKE_UNITY_BUILD={unity}",
            f"-DPython3_EXECUTABLE={sys.executable}",
        ]
        run("cmake", "-S", ROOT / "clients" / "cpp" / "tests", "-B", folder, *flags)
        only = ("--target", *targets) if targets else ()
        run("cmake", "--build", folder, "--parallel", "2", *only)
    return folder


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Run a command that must succeed and return its output; fail with its errors otherwise."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | environment,
    )
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
    )
    return done.stdout
