"""A process that is forked in place of a new Python."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from naiad.runtime.preloaded import Preloaded

MODULE = """
import os, signal, sys, time

def main():
    what, *rest = sys.argv[1:]
    assert "slow" in sys.modules
    if what == "print":
        print(os.getpid(), sys.stdin.read(), flush=True)
    if what == "place":
        print(os.getcwd(), os.environ["PLACE"], os.path.exists("slow.py"), sys.path[0])
    if what == "parent":
        print(rest == ["--parent", str(os.getppid())])
    if what == "wait for a signal":
        signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
        print(flush=True)
        time.sleep(100)
    if what == "exit":
        sys.exit(3)
    if what == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    if what == "descriptors":
        with open(4, "w") as file:
            file.write(str(sorted(set(map(int, os.listdir("/proc/self/fd"))))))
    if what == "sleep":
        print(os.getpid(), flush=True)
        time.sleep(100)

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def preloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Preloaded]:
    (tmp_path / "forked.py").write_text(MODULE)
    (tmp_path / "slow.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3] / 'src'}")
    preloaded = Preloaded(tmp_path, ["slow", "is_not_there"])
    yield preloaded
    preloaded.close()


def run(
    preloaded: Preloaded, what: str, more: Sequence[str] = (), **options: object
) -> subprocess.CompletedProcess[str]:
    command = [preloaded.python, "-m", "forked", what, *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not psutil.pid_exists(pid)


def sleeping(preloaded: Preloaded) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [preloaded.python, "-m", "forked", "sleep"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as written:
        return process, int(written.readline())


def test_a_fork_has_the_streams_descriptors_and_status_of_its_launcher(
    preloaded: Preloaded, tmp_path: Path
) -> None:
    done = run(preloaded, "print", input="given")
    assert (done.returncode, done.stdout.split()[1:]) == (0, ["given"]), done.stderr
    assert run(preloaded, "exit").returncode == 3
    assert run(preloaded, "signal").returncode == -15
    with (tmp_path / "three").open("w") as three, (tmp_path / "four").open("w") as four:
        pid = os.posix_spawn(
            preloaded.python,
            [str(preloaded.python), "-m", "forked", "descriptors"],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, three.fileno(), 3),
                (os.POSIX_SPAWN_DUP2, four.fileno(), 4),
            ],
        )
        assert os.waitpid(pid, 0)[1] == 0
    # Beyond those: the one that lists the folder.
    assert (tmp_path / "four").read_text() == "[0, 1, 2, 3, 4, 5]"


def test_a_fork_has_the_folder_environment_and_signals_of_its_launcher(
    preloaded: Preloaded, tmp_path: Path
) -> None:
    added, folder = tmp_path / "added", tmp_path / "folder"
    folder.mkdir()
    path = f"{added}:{os.environ['PYTHONPATH']}"
    done = run(preloaded, "place", cwd=folder, env={"PLACE": "here", "PYTHONPATH": path})
    assert done.stdout.split() == [str(folder), "here", "False", str(added)], done.stderr
    assert "True" in run(preloaded, "parent", more=["--parent", "1"]).stdout
    command = [preloaded.python, "-m", "forked", "wait for a signal"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout is not None
        launcher.stdout.readline()
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(10) == 5


def test_a_fork_ends_with_its_launcher(preloaded: Preloaded) -> None:
    launcher, pid = sleeping(preloaded)
    launcher.kill()
    launcher.wait()
    assert is_gone(pid)
    assert run(preloaded, "exit").returncode == 3


def test_a_launcher_ends_with_its_fork(preloaded: Preloaded) -> None:
    launcher, pid = sleeping(preloaded)
    psutil.Process(pid).kill()
    assert launcher.wait(10) == -9


def test_nothing_is_left_once_it_is_closed(preloaded: Preloaded) -> None:
    launcher, pid = sleeping(preloaded)
    preloaded.close()
    assert not psutil.pid_exists(pid)
    assert launcher.wait(10) != 0
    assert not preloaded.revive()
    assert run(preloaded, "exit").returncode == 1


def test_it_is_started_again_if_it_dies(preloaded: Preloaded) -> None:
    assert not preloaded.revive()
    done = run(preloaded, "print", input="")
    [child] = [p for p in psutil.Process().children() if "slow" in p.cmdline()]
    child.kill()
    child.wait()
    assert preloaded.revive()
    assert run(preloaded, "print", input="").stdout != done.stdout
    assert run(preloaded, "exit").returncode == 3


def test_its_folder_may_have_a_path_too_long_for_a_socket(
    tmp_path: Path, preloaded: Preloaded
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    far = Preloaded(folder, ["slow"])
    try:
        assert run(far, "exit").returncode == 3
    finally:
        far.close()
