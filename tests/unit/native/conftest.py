"""The front's C++, as far as it can be tried without Triton."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from naiad.native.build import SOURCES, compiler

Drive = Callable[..., str]


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Runs ``driver.cpp`` with a command and an input; returns what it prints."""
    with_what = compiler()
    if with_what is None:
        pytest.skip("there is no C++ compiler: apt install g++")
    program = tmp_path_factory.mktemp("front") / "driver"
    source = Path(__file__).with_name("driver.cpp")
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{SOURCES}"]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    subprocess.run([with_what, *flags, *sanitizers, "-o", program, source], check=True)

    def run(command: str, text: str | bytes, status: int = 0) -> str:
        data = text if isinstance(text, bytes) else text.encode()
        done = subprocess.run([program, command], input=data, capture_output=True, check=False)
        assert done.returncode == status, done.stderr.decode()
        return done.stdout.decode()

    return run
