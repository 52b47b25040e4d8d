"""Whatever is killed, a server leaves nothing behind and stops in bounded time."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.support.triton import FREE, Belongings, copy_model, write_model

from naiad.errors import EngineError
from naiad.triton.server import Server

X = np.arange(5, dtype=np.float32)

STUBBORN = """
import signal, subprocess, sys

class TritonPythonModel:
    def initialize(self, args):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(
            [sys.executable if "python" in sys.executable else "python3", "-c",
             "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"],
            start_new_session=True,
        )

    def execute(self, requests):
        return []
"""

PARENT = """
import json, os, signal, sys, time
from pathlib import Path
from naiad.triton.server import Server

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
server = Server(sys.argv[1], http_port=0, grpc_port=0, metrics_port=0, exit_timeout=2).start()
if "fork" in sys.argv:  # a child that holds every pipe of the parent open
    child = os.fork()
    if not child:
        time.sleep(20)
        os._exit(0)
urls = (server.grpc_url, server.http_url, server.metrics_url.removesuffix("/metrics"))
print(json.dumps([server.pid, [int(u.rpartition(":")[2]) for u in urls], str(server.log_path)]))
sys.stdout.flush()
time.sleep(600)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_model(tmp_path / "models", "identity")
    return tmp_path / "models"


def start_parent(repository: Path, *extra: str) -> tuple[subprocess.Popen[bytes], Belongings]:
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PARENT, str(repository), *extra],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid, ports, log = json.loads(parent.stdout.readline())
    return parent, Belongings.found(pid, tuple(ports), Path(log).parent)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_the_death_of_the_parent_ends_triton_and_all_its_processes(
    repository: Path, number: signal.Signals
):
    parent, belongings = start_parent(repository)
    with parent:
        parent.send_signal(number)
    assert belongings.left(within=10) == []


def test_the_death_of_a_parent_is_noticed_although_its_fork_holds_the_pipe(repository: Path):
    parent, belongings = start_parent(repository, "fork")
    forks = [p for p in psutil.Process(parent.pid).children() if p != belongings.processes[0]]
    try:
        parent.kill()
        assert belongings.left(within=12) == []
    finally:
        for fork in forks:
            fork.kill()
        parent.communicate()
    assert forks


def test_processes_that_ignore_sigterm_and_their_children_are_ended_too(repository: Path):
    write_model(repository, "stubborn", STUBBORN)
    parent, belongings = start_parent(repository)
    assert len(belongings.processes) == 5  # reaper, Triton, two stubs, the stubborn one's child
    with parent:
        parent.kill()
    assert belongings.left(within=15) == []


def test_stopping_ends_processes_that_ignore_sigterm(repository: Path):
    write_model(repository, "stubborn", STUBBORN)
    with Server(repository, **FREE, exit_timeout=2) as server:
        belongings = Belongings.of(server)
    assert belongings.left() == []


def test_a_triton_that_dies_is_reported_and_cleaned_up(repository: Path, tmp_path: Path):
    events: list[str] = []
    server = Server(
        repository,
        **FREE,
        log_dir=tmp_path / "logs",
        on_event=lambda event: events.append(event.text),
    )
    with server:
        belongings = Belongings.of(server)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="SIGKILL"):
            server.wait(10)
    assert (tmp_path / "logs").is_dir()  # the log belongs to the user
    shutil.rmtree(tmp_path / "logs")
    assert belongings.left() == []
    assert any("SIGKILL" in text for text in events)


def test_the_death_of_the_reaper_leaves_nothing_when_the_server_is_stopped(repository: Path):
    with Server(repository, **FREE) as server:
        belongings = Belongings.of(server)
        belongings.processes[0].kill()
        with pytest.raises(EngineError, match="reaper"):
            server.wait(10)
        log = server.log_path
    assert log is not None
    log.unlink()  # the log of a death is kept
    log.parent.rmdir()
    assert belongings.left(within=5) == []


def test_an_idle_keep_alive_connection_does_not_hold_the_shutdown(repository: Path):
    with Server(repository, **FREE, exit_timeout=2) as server:
        belongings = Belongings.of(server)
        idle = http.client.HTTPConnection(server.http_url.removeprefix("http://"))
        idle.request("GET", "/v2/health/ready")
        assert idle.getresponse().read() == b""
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 2 + 3
    idle.close()
    assert belongings.left() == []


def test_a_model_that_hangs_does_not_hold_the_shutdown(repository: Path):
    code = """
    import pathlib, time

    class TritonPythonModel:
        def execute(self, requests):
            pathlib.Path(__file__ + ".asked").touch()
            time.sleep(600)
    """
    model = write_model(repository, "hanging", code)
    refused: list[Exception] = []

    def ask() -> None:
        try:
            client.infer("hanging", x=X)
        except Exception as error:
            refused.append(error)

    with Server(repository, **FREE, exit_timeout=1) as server:
        belongings = Belongings.of(server)
        client = server.client()
        asking = threading.Thread(target=ask)
        asking.start()
        while not (model / "1" / "model.py.asked").exists():
            assert asking.is_alive()
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 1 + 2 * 2 + 1
    asking.join()
    assert belongings.left() == []
    assert len(refused) == 1  # an error, not silence


def test_a_start_that_is_interrupted_leaves_nothing(repository: Path, tmp_path: Path):
    slow = "import time\ntime.sleep(600)"
    write_model(repository, "slow", slow)
    seen: list[Belongings] = []

    def interrupt(event: object) -> None:
        if server.pid is not None and not seen:
            time.sleep(0.5)
            seen.append(Belongings.of(server))
            raise KeyboardInterrupt

    server = Server(repository, **FREE, on_event=interrupt)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    log = server.log_path
    assert log is not None
    log.unlink()
    log.parent.rmdir()
    assert seen[0].left() == []
