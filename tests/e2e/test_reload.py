"""``naiad serve --reload``: an edit is served soon, and one that does not load disturbs nothing."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.command import naiad_serve, shown_when_ready, urls_shown
from tests.support.forks import new_processes
from typer.testing import CliRunner

import naiad
from naiad.cli.main import app
from naiad.files import write_whole

pytestmark = new_processes

MODEL = """\
import naiad
from helper import FACTOR
from naiad import Tensor


class My(naiad.Pipeline):
    inputs = {"x": Tensor("float32", ("n",))}
    outputs = {"y": Tensor("float32", ("n",))}
    arrays = "numpy"

    def setup(self, device):
        print("set up")

    def forward(self, batch):
        if (batch["x"] == 13).any():
            raise ValueError("unlucky")
        return {"y": batch["x"] * FACTOR}
"""
SECONDS = 60


class Served:
    """A running command, its lines on standard error, and a client."""

    def __init__(self, command: subprocess.Popen[str]) -> None:
        self.command = command
        self.shown = shown_when_ready(command)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.client = naiad.Client(urls_shown(self.shown)["gRPC"], retries=0)
        self.processes = psutil.Process(command.pid).children(recursive=True)

    def _read(self) -> None:
        assert self.command.stderr is not None
        self.lines += (line.rstrip() for line in self.command.stderr)

    def answer(self, x: float = 1.0) -> float:
        return float(self.client.infer("my", x=[x])["y"][0])

    def stop(self) -> None:
        self.processes += psutil.Process(self.command.pid).children(recursive=True)
        self.client.close()
        self.command.send_signal(signal.SIGINT)
        assert self.command.wait(30) == 0
        self._reader.join()


def save(path: Path, text: str) -> None:
    """Write a file as editors do: nobody sees a part of it."""
    write_whole(path, text.encode())


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with a model; temporary files are beside it."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save(folder / "my.py", MODEL)
    save(folder / "helper.py", "FACTOR = 2\n")
    return folder


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with naiad_serve("my.py:My", "--reload", "--instances", "2") as command:
        yield Served(command)


def test_edits_are_served_and_broken_ones_told_in_one_line(folder: Path, served: Served) -> None:
    assert served.answer() == 2
    save(folder / "helper.py", "FACTOR = 3\n")
    until(lambda: served.answer() == 3)
    for broken, told in {
        MODEL.replace("FACTOR}", "foo}"): "my.py:17: NameError: name 'foo' is not defined",
        MODEL.replace("return {", "return ({"): "my.py:17: SyntaxError: '(' was never closed",
        MODEL.replace('print("set up")', "1 / 0"): "my.py:12: ZeroDivisionError: division by zero",
        MODEL.replace('("n",))}', '("n", "n2"))}', 1): "my.py: forward() returned y as",
        MODEL.replace("float32", "float31"): "my.py:7: ",
        MODEL.replace('print("set up")', "breakpoint()"): "my.py:12: RuntimeError: breakpoint()",
        MODEL.replace("class My(", "class Mine("): "my.py:My: name a Pipeline class",
        MODEL.replace('print("set up")', "import ctypes; ctypes.string_at(0)"): (
            "my.py: the process that loads it was ended by SIGSEGV"
        ),
        MODEL.replace("helper", "helpers"): "my.py:2: ModuleNotFoundError: No module",
    }.items():
        served.lines.clear()
        save(folder / "my.py", broken)
        end = "; the previous version of my is still served"
        until(lambda end=end: any(line.endswith(end) for line in served.lines))
        [line] = [line for line in served.lines if line.endswith(end)]
        assert line.startswith(told)
        assert served.answer() == 3
    save(folder / "my.py", "while True:\n    pass\n")
    time.sleep(1)
    save(folder / "my.py", MODEL.replace("helper", "helpers"))
    assert served.answer() == 3
    save(folder / "helpers.py", "FACTOR = 4\n")  # mended by a file that was missing
    until(lambda: served.answer() == 4)
    other = MODEL.replace('"x": Tensor("float32", ("n",))', '"z": Tensor("float32", (2,))')
    save(folder / "my.py", other.replace('"x"', '"z"').replace('("n",)', "(2,)"))
    until(lambda: "z" in served.client.config("my")["input"][0]["name"])
    assert served.client.infer("my", z=[1.0, 2.0])["y"].tolist() == [3, 6]
    save(folder / "my.py", MODEL)
    until(lambda: served.client.config("my")["input"][0]["name"] == "x")
    assert served.answer() == 3
    served.stop()
    assert sum(line.startswith("my reloaded in") for line in served.lines) == 3
    assert not [process for process in served.processes if process.is_running()]
    assert not [*folder.parent.joinpath("tmp").iterdir()]
    assert {path.name for path in folder.iterdir()} == {"my.py", "helper.py", "helpers.py"}


def test_what_hooks_print_and_raise_is_shown_once_and_the_log_is_kept(
    folder: Path, served: Served
) -> None:
    for _ in range(3):
        with pytest.raises(naiad.PipelineError, match="unlucky"):
            served.answer(13.0)
    until(lambda: "ValueError: unlucky" in served.lines)
    served.stop()
    assert served.lines.count("my: set up") == 1, "two workers print the same"
    assert served.lines.count("ValueError: unlucky") == 1
    assert f'  File "{folder}/my.py", line 16, in forward' in served.lines
    assert not [line for line in served.lines if naiad.__path__[0] in line]
    [kept] = [line for line in served.lines if line.startswith("the log, with errors: ")]
    log = Path(kept.partition(": ")[2]).read_text()
    assert log.count("ValueError: unlucky") == 3
    assert f'File "{naiad.__path__[0]}/runtime/runner.py"' in log


def test_processes_that_die_are_replaced(folder: Path, served: Served) -> None:
    assert served.answer() == 2

    def preloaded() -> psutil.Process:
        [found] = [
            child
            for child in psutil.Process(served.command.pid).children()
            if "naiad.runtime.preloaded" in child.cmdline()
        ]
        return found

    for process in (*preloaded().children(), preloaded()):
        process.kill()
    save(folder / "helper.py", "FACTOR = 3\n")

    def is_served() -> bool:
        try:
            return served.answer() == 3
        except naiad.Unavailable:
            return False

    until(is_served)
    served.stop()
    assert any("died, and was started again" in line for line in served.lines)
    assert not [process for process in served.processes if process.is_running()]


def test_nothing_is_left_of_a_command_that_is_killed(folder: Path, served: Served) -> None:
    served.command.kill()
    served.command.wait()
    until(lambda: not [process for process in served.processes if process.is_running()])
    assert not [*folder.parent.joinpath("tmp").iterdir()]
    served._reader.join()


def test_loading_a_model_serves_its_file_as_it_is_now(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with naiad_serve("my.py:My", "--model-control-mode", "explicit") as command:
        served = Served(command)
        url = urls_shown(served.shown)["gRPC"]
        assert served.answer() == 2
        monkeypatch.chdir(tmp_path)
        save(folder / "helper.py", "FACTOR = 3\n")
        assert served.answer() == 2
        naiad_load("my", url)
        assert served.answer() == 3
        save(folder / "my.py", MODEL.replace("* FACTOR", "* FACTOR +"))
        with pytest.raises(naiad.NaiadError, match=r"my\.py:17: SyntaxError"):
            naiad_load("my", url)
        assert served.answer() == 3
        served.stop()


def naiad_load(name: str, url: str) -> None:
    CliRunner().invoke(app, ["load", name, "--url", url], catch_exceptions=False)
