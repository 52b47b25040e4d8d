"""The backend's C++, as far as it can be tested without Triton."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.full import FULL

from naiad.native.library import SOURCES

Drive = Callable[..., str]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Build ``driver.cpp`` once per run, with sanitizers under ``NAIAD_FULL=1``."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler: apt install g++")
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent  # of the whole run
    made = folder / "native-driver"
    source = Path(__file__).parent / "native" / "driver.cpp"
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{SOURCES}"]
    if FULL:
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover"]
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            subprocess.run([compiler, *flags, "-o", made.with_suffix(".new"), source], check=True)
            made.with_suffix(".new").rename(made)
    return made


@pytest.fixture(scope="session")
def drive(program: Path) -> Drive:
    """Run the driver with a command and an input, and return its output."""

    def run(command: str, text: str | bytes, status: int = 0) -> str:
        data = text if isinstance(text, bytes) else text.encode()
        done = subprocess.run([program, command], input=data, capture_output=True, check=False)
        assert done.returncode == status, done.stderr.decode()
        return done.stdout.decode()

    return run


class Talk:
    """A running driver that answers line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, *words: object) -> None:
        """Send a line without an answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")

    def ask(self, *words: object) -> str:
        """Send a line, and return the answer."""
        self.tell(*words)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver has ended"
        return line.strip()


@pytest.fixture(scope="session")
def talk(program: Path) -> Iterator[Callable[[str], Talk]]:
    """Start the driver with a command."""
    processes: list[subprocess.Popen[str]] = []

    def start(command: str) -> Talk:
        pipe = subprocess.PIPE
        process = subprocess.Popen([program, command], stdin=pipe, stdout=pipe, text=True)
        processes.append(process)
        return Talk(process)

    yield start
    for process in processes:
        process.communicate()
        assert process.returncode == 0
