"""The backend's C++, as far as it can be tried without Triton."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from naiad.native.library import SOURCES

Drive = Callable[..., str]


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Runs ``driver.cpp`` with a command and an input; returns what it prints."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler with sanitizers: apt install g++")
    program = tmp_path_factory.mktemp("native") / "driver"
    source = Path(__file__).with_name("driver.cpp")
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{SOURCES}"]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    subprocess.run([compiler, *flags, *sanitizers, "-o", program, source], check=True)

    def run(command: str, text: str | bytes, status: int = 0) -> str:
        data = text if isinstance(text, bytes) else text.encode()
        done = subprocess.run([program, command], input=data, capture_output=True, check=False)
        assert done.returncode == status, done.stderr.decode()
        return done.stdout.decode()

    return run
