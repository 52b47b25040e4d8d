import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from naiad.triton import stub_watch
from naiad.triton.stub_watch import Stubs

T = TypeVar("T")


@pytest.fixture
def triton(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Return ``triton(name=code)``, which starts a process with a stub per model; it reaps none."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**models: str) -> int:
        for name, code in models.items():
            file = tmp_path / name / "1" / "model.py"
            file.parent.mkdir(parents=True)
            file.write_text(code)
        code = f"""
import subprocess, sys, time
for name in {list(models)}:
    subprocess.Popen([sys.executable, f"{tmp_path}/{{name}}/1/model.py"])
time.sleep(60)
"""
        started.append(subprocess.Popen([sys.executable, "-c", code], start_new_session=True))
        return started[-1].pid

    yield start
    for process in started:
        os.killpg(process.pid, 9)
        process.wait()


def eventually(look: Callable[[], T]) -> T:
    deadline = time.monotonic() + 20
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def children(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children()


def test_a_model_whose_process_died_is_named_with_how(
    triton: Callable[..., int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stub_watch, "_DEAD", 0.3)
    pid = triton(alive="import time; time.sleep(60)", dead="raise SystemExit(7)")
    seen = Stubs()
    (found,) = eventually(lambda: list(seen.died(pid, {"alive", "dead"})))
    assert found.model == "dead"
    assert "(exit status 7)" in found.text


def test_a_served_model_that_has_lost_its_process_is_told_soon(triton: Callable[..., int]):
    pid = triton(served="import time; time.sleep(60)")
    seen = Stubs()
    (stub,) = eventually(lambda: [s for s in children(pid) if "served" in "".join(s.cmdline())])
    assert seen.lost(pid) == ""
    stub.kill()
    began = time.monotonic()
    assert eventually(lambda: seen.lost(pid)) == "the process of served has died (SIGKILL)"
    assert time.monotonic() - began < stub_watch._COLLECTED


@pytest.mark.slow
def test_a_process_of_a_version_that_did_not_load_has_time_to_be_collected(
    triton: Callable[..., int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stub_watch, "_COLLECTED", 3.0)
    pid = triton(bad="raise SystemExit(3)")
    seen = Stubs()
    dead = eventually(lambda: [s for s in children(pid) if s.status() == "zombie"])
    assert dead
    began = time.monotonic()
    for _ in range(3):
        assert seen.lost(pid, {"bad"}) == ""
    found = eventually(lambda: seen.lost(pid))
    assert "has died (exit status 3)" in found
    assert time.monotonic() - began >= 3.0
