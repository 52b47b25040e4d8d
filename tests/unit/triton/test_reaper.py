"""The reaper with other programs in Triton's place."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from naiad.triton.reaper import Charge, Reaper

READY = "print('ready', flush=True); "
STUBBORN = f"import signal, time; signal.signal(15, signal.SIG_IGN); {READY} time.sleep(60)"


@contextmanager
def guarding(tmp_path: Path, code: str, **options: Any) -> Iterator[Reaper]:
    log = tmp_path / "log"
    reaper = Reaper(
        Charge(
            command=[sys.executable, "-c", code],
            environment={"WHO": "me"},
            log=str(log),
            exit_timeout=0.5,
            shared_memory=options.pop("shared_memory", f"naiad-test-{os.getpid()}-"),
            **options,
        )
    )
    try:
        while "print" in code and not (log.exists() and log.read_text()):
            time.sleep(0.02)
        yield reaper
    finally:
        reaper.kill()
        assert reaper.wait(10)


def ended(reaper: Reaper) -> dict[str, Any]:
    for _ in range(10):
        for event in reaper.poll(2.0):
            if event["event"] == "ended":
                return event
    raise AssertionError("it did not end")


def test_what_runs_has_its_own_environment_session_and_log(tmp_path: Path):
    code = "import os; print(os.environ['WHO'], os.getsid(0) == os.getpid())"
    with guarding(tmp_path, code) as reaper:
        event = ended(reaper)
    assert (tmp_path / "log").read_text() == "me True\n"
    assert (event["status"], event["asked"], event["killed"]) == (0, False, 0)
    assert reaper.pid is not None


def test_an_end_that_was_not_asked_for_is_told_with_its_status(tmp_path: Path):
    with guarding(tmp_path, "raise SystemExit(3)") as reaper:
        assert ended(reaper)["status"] == 3
    with guarding(tmp_path, "import os; os.kill(os.getpid(), 11)") as reaper:
        assert ended(reaper)["status"] == -11


def test_stop_lets_it_end_in_its_own_time(tmp_path: Path):
    code = (
        "import signal, sys, time\n"
        "signal.signal(15, lambda *_: (time.sleep(0.3), sys.exit(0)))\n"
        f"{READY}\ntime.sleep(60)"
    )
    with guarding(tmp_path, code) as reaper:
        reaper.stop()
        event = ended(reaper)
    assert (event["status"], event["asked"]) == (0, True)


def test_what_does_not_stop_is_killed_after_its_time(tmp_path: Path):
    with guarding(tmp_path, STUBBORN) as reaper:
        began = time.monotonic()
        reaper.stop()
        assert ended(reaper)["status"] == -9
        assert 0.5 < time.monotonic() - began < reaper.exit_limit


def test_kill_does_not_wait_even_after_stop(tmp_path: Path):
    with guarding(tmp_path, STUBBORN) as reaper:
        reaper.stop()
        reaper.kill()
        began = time.monotonic()
        assert ended(reaper)["status"] == -9
        assert time.monotonic() - began < 1.5


def test_processes_left_by_it_are_killed_and_counted(tmp_path: Path):
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True)\n"
        "print(child.pid, flush=True)"
    )
    with guarding(tmp_path, code) as reaper:
        assert ended(reaper)["killed"] == 1
    assert not psutil.pid_exists(int((tmp_path / "log").read_text()))


def test_its_shared_memory_is_removed_and_no_others(tmp_path: Path):
    prefix = f"naiad-{os.getpid()}-{tmp_path.name}-"
    mine, other = Path("/dev/shm", f"{prefix}1"), Path("/dev/shm", f"other-{prefix}1")
    try:
        mine.touch()
        other.touch()
        with guarding(tmp_path, "pass", shared_memory=prefix) as reaper:
            ended(reaper)
        assert not mine.exists()
        assert other.exists()
    finally:
        other.unlink()


def test_a_program_that_cannot_be_run_is_told_with_the_reason(tmp_path: Path):
    reaper = Reaper(
        Charge(
            command=[str(tmp_path / "absent")],
            environment={},
            log=str(tmp_path / "log"),
            exit_timeout=0.5,
            shared_memory="naiad-test-",
        )
    )
    event = ended(reaper)
    assert reaper.wait(10)
    assert event["status"] is None
    assert "No such file" in event["reason"]


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_to_the_reaper_ends_what_it_guards_but_ctrl_c_does_not(
    tmp_path: Path, number: int
):
    with guarding(tmp_path, f"import time; {READY} time.sleep(60)") as reaper:
        reaper.poll(20.0)
        process = psutil.Process(reaper.pid).parent()
        assert process is not None
        process.send_signal(number)
        events = reaper.poll(20.0 if number == 15 else 1.0)
        assert [event.get("asked") for event in events] == ([True] if number == 15 else [])


def test_triton_and_its_models_can_see_that_it_is_about_to_be_stopped(tmp_path: Path):
    stopping = tmp_path / "stopping"
    code = (
        "import signal, pathlib, time\n"
        f"def stop(*_): print(pathlib.Path({str(stopping)!r}).exists(), flush=True); exit()\n"
        "signal.signal(15, stop)\n"
        f"{READY} time.sleep(60)"
    )
    with guarding(tmp_path, code, stopping=str(stopping)) as reaper:
        assert not stopping.exists()
        reaper.stop()
        assert ended(reaper)["status"] == 0
    assert (tmp_path / "log").read_text() == "ready\nTrue\n"
