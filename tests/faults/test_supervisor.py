"""A supervised server that loses a process recovers by itself, and is not ready until then; one
that is stopped under load answers all accepted requests.
"""

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.support.command import naiad_serve, shown_when_ready, urls_shown
from tests.support.triton import FREE, Belongings, copy_model, write_model

import naiad
from naiad.errors import EngineError, NaiadError, Unavailable
from naiad.triton.process import TritonProcess
from naiad.triton.reaper import Reaper
from naiad.triton.repository import export
from naiad.triton.server import Server
from naiad.triton.supervisor import Supervision

X = np.arange(5, dtype=np.float32)
EDGES = np.zeros((2, 1), np.int64)
EXAMPLES = {
    "identity": {"x": X},
    "trouble": {"x": np.full((2, 2), 100, np.float32), "edge_index": EDGES},
}
NEVER = {"x": np.full((1, 2), 4, np.float32), "edge_index": EDGES}  # sleeps in the worker
CALM = Supervision(interval=0.5, deadline=10.0, silence=60.0, first_pause=0.1)
IMPATIENT = Supervision(interval=0.5, deadline=1.0, silence=2.0)
TROUBLE = Path(__file__).parents[1] / "unit" / "runtime" / "degree.py"

SLOW = """
import time
from pathlib import Path

import naiad


class Slow(naiad.Pipeline):
    inputs = {{"x": naiad.Tensor("float32", ("n",))}}
    outputs = {{"y": naiad.Tensor("float32", ("n",))}}
    budget = naiad.Budget(requests=3)
    arrays = "numpy"

    def prepare(self, request):
        with Path({begun!r}).open("a") as file:
            file.write(request.id + "\\n")
        return request.arrays

    def forward(self, batch):
        time.sleep(0.1)
        return {{"y": 2 * batch["x"]}}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_model(tmp_path / "models", "identity")
    return tmp_path / "models"


def start(repository: Path, supervision: Supervision = CALM) -> Server:
    models = {path.name for path in repository.iterdir()}
    probes = {name: example for name, example in EXAMPLES.items() if name in models}
    return Server(repository, **FREE, health_port=0, supervision=supervision, probes=probes)


def stub(server: Server, model: str) -> psutil.Process:
    return next(
        process
        for process in psutil.Process(server.pid).children()
        if f"/{model}/1/model.py" in " ".join(process.cmdline())
    )


def health(server: Server, path: str = "/readyz") -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"{server.health_url}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def until(condition: Callable[[], bool], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(server: Server, model: str = "identity") -> bool:
    with naiad.Client(server.grpc_url, retries=0, timeout=5) as client:
        try:
            client.infer(model, EXAMPLES[model])
        except Unavailable:
            return False
    return True


@pytest.fixture
def server(repository: Path) -> Iterator[Server]:
    export(f"{TROUBLE}:Trouble", repository, instances=1)
    with start(repository) as server:
        belongings = Belongings.of(server)
        yield server
    assert belongings.left() == []


def test_a_plain_model_whose_process_is_killed_answers_again(server: Server):
    assert health(server)[0] == 200
    stub(server, "identity").kill()
    until(lambda: health(server)[0] == 503, within=10)
    until(lambda: health(server)[0] == 200)
    assert answers(server)
    _, report = health(server)
    assert report["restarts"] == 1
    assert report["models"].keys() == EXAMPLES.keys()


def test_the_old_tritons_last_log_lines_are_not_taken_for_the_new_ones(
    server: Server, monkeypatch: pytest.MonkeyPatch
):
    end = TritonProcess.end

    def end_with_words(process: TritonProcess, ask: Callable[[Reaper], None]) -> None:
        end(process, ask)
        with process.log_path.open("a") as log:  # as it does if it has the time
            log.write("Signal (15) received.\n")
            log.write(
                'I1125 22:38:48.365218 2587 server.cc:305] "Waiting for in-flight requests"\n'
            )

    monkeypatch.setattr(TritonProcess, "end", end_with_words)
    stub(server, "identity").kill()
    until(lambda: health(server)[0] == 503, within=10)
    until(lambda: health(server)[0] == 200)
    assert health(server)[1]["restarts"] == 1


def test_requests_in_flight_with_a_killed_server_get_an_error_and_the_next_are_served(
    server: Server,
):
    def ask(_: int) -> tuple[NaiadError, float]:
        with naiad.Client(server.grpc_url, retries=0, timeout=50) as client:
            with pytest.raises(NaiadError) as caught:
                client.infer("trouble", NEVER)
            return caught.value, time.monotonic()

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, number) for number in range(4)]
        time.sleep(2)  # the server has them by now
        killed = time.monotonic()
        psutil.Process(server.pid).kill()
        errors = [one.result() for one in waiting]
    for error, at in errors:
        assert isinstance(error, Unavailable)
        assert at - killed < 10
    until(lambda: health(server)[1]["restarts"] == 1)  # a death is seen within two checks
    until(lambda: health(server)[0] == 200)
    assert answers(server, "trouble")


def test_a_model_that_cannot_be_unloaded_ends_with_a_restart(repository: Path):
    export(f"{TROUBLE}:Trouble", repository, instances=1)
    policy = Supervision(interval=0.3, silence=60.0, unloading=1.0, first_pause=0.1)
    server = Server(
        repository,
        **FREE,
        health_port=0,
        supervision=policy,
        model_control="explicit",
        exit_timeout=3,
    )
    with server, naiad.Client(server.grpc_url, retries=0, timeout=60) as client:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.infer, "trouble", NEVER)  # occupies its model
            time.sleep(1)
            client.unload("trouble")
            until(lambda: health(server)[1]["restarts"] == 1)
            assert isinstance(waiting.exception(), NaiadError)
        until(lambda: health(server)[0] == 200)
        assert answers(server)


def test_a_client_that_retries_sees_nothing_of_a_killed_server(server: Server):
    before = server.grpc_url, server.http_url, server.log_path
    assert server.pid is not None
    belongings = Belongings.of(server)
    os.kill(server.pid, signal.SIGKILL)
    with naiad.Client(server.grpc_url, retries=20) as client:
        assert np.array_equal(client.infer("identity", x=X)["y"], X)
    until(lambda: health(server)[0] == 200)
    assert (server.grpc_url, server.http_url, server.log_path) == before
    assert not any(process.is_running() for process in belongings.processes)
    assert not server.wait(0)


def test_a_stuck_model_is_not_ready_and_then_restarted(repository: Path):
    with start(repository, IMPATIENT) as server:
        stub(server, "identity").suspend()
        until(lambda: health(server)[0] == 503)
        assert health(server)[1]["models"]["identity"]["reason"]
        until(lambda: health(server)[1]["restarts"] >= 1)
        until(lambda: health(server)[0] == 200)
        until(lambda: answers(server))


def test_a_model_that_answers_with_an_error_is_not_ready_and_not_restarted(repository: Path):
    policy = Supervision(interval=0.5, deadline=5.0, silence=1.0)
    with start(repository, policy) as server:
        server.probes["identity"] = {"x": X, "y": X}  # refused
        until(lambda: "no input y" in health(server)[1]["models"]["identity"]["reason"])
        assert health(server)[0] == 503
        time.sleep(3 * policy.silence)
        assert health(server)[1]["restarts"] == 0


def test_a_model_that_answers_requests_but_not_its_probe_is_busy_and_not_restarted(
    repository: Path,
):
    code = (repository / "identity/1/model.py").read_text()
    answer = "        return [\n"
    assert answer in code
    write_model(repository, "slow", code.replace(answer, f"        time.sleep(0.3)\n{answer}"))
    (repository / "slow/1/model.py").write_text(
        "import time\n" + (repository / "slow/1/model.py").read_text()
    )
    policy = Supervision(interval=0.5, deadline=0.8, silence=1.5)
    with start(repository, policy) as server, ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(server.client().infer, "slow", x=X) for _ in range(14)]
        server.probes["slow"] = {"x": X}
        for one in asking:
            assert np.array_equal(one.result()["y"], X)
        assert health(server)[1]["restarts"] == 0


def test_a_server_that_is_killed_again_and_again_comes_back_each_time(repository: Path):
    policy = Supervision(failed_starts=1, first_pause=0.1)
    with start(repository, policy) as server:
        for restart in range(1, 4):
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            until(lambda n=restart: health(server)[1]["restarts"] == n)
            assert health(server, "/livez")[0] == 200
            until(lambda: health(server)[0] == 200)


def test_a_server_that_can_no_longer_start_is_given_up_with_the_reason(repository: Path):
    policy = Supervision(failed_starts=2, first_pause=0.1)
    with start(repository, policy) as server:
        belongings = Belongings.of(server)
        for model_file in repository.glob("*/1/model.py"):
            model_file.write_text("raise RuntimeError('the disk is gone')")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="gave up after 2 failed starts in a row"):
            server.wait(60)
        status, report = health(server, "/livez")
        assert (status, report["state"]) == (503, "failed")
        assert "the disk is gone" in report["reason"]
        log = server.log_path
    assert log is not None
    log.unlink()  # the log of a death is kept
    log.parent.rmdir()
    assert belongings.left() == []


def test_a_server_stopped_while_it_restarts_ends_and_leaves_nothing(repository: Path):
    with start(repository) as server:
        belongings = Belongings.of(server)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        until(lambda: health(server)[1]["state"] == "restarting")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5
        assert server.wait(0)
    assert belongings.left() == []


@pytest.mark.parametrize("use", ["gRPC", "HTTP"])
def test_sigterm_under_load_answers_what_was_accepted_and_refuses_the_rest(
    tmp_path: Path, use: str
):
    begun = tmp_path / "begun"
    (tmp_path / "slow.py").write_text(SLOW.format(begun=str(begun)))
    exit_timeout = 4
    outcomes: dict[str, object] = {}
    over = threading.Event()

    def load(worker: int) -> None:
        with naiad.Client(urls[use], retries=0, timeout=30) as client:
            number = 0
            while not over.is_set():
                name, number = f"{worker}-{number}", number + 1
                try:
                    outputs = client.infer("slow", request_id=name, x=X)
                    outcomes[name] = bool(np.array_equal(outputs["y"], 2 * X))
                except NaiadError as error:
                    outcomes[name] = error
                    time.sleep(0.05)

    pipeline = f"{tmp_path / 'slow.py'}:Slow"
    arguments = (pipeline, "--instances", "1", "--exit-timeout", str(exit_timeout))
    with naiad_serve(*arguments) as command:
        urls = urls_shown(shown_when_ready(command))
        triton = next(
            process
            for process in psutil.Process(command.pid).children(recursive=True)
            if process.name() == "tritonserver"
        )
        ports = tuple(int(urls[u].rpartition(":")[2]) for u in ("gRPC", "HTTP", "metrics"))
        belongings = Belongings.found(triton.pid, ports, Path(urls["log"]).parent)
        idle = HTTPConnection(urls["HTTP"].removeprefix("http://"))
        idle.request("GET", "/v2/health/ready")
        idle.getresponse().read()
        workers = [threading.Thread(target=load, args=(number,)) for number in range(8)]
        for worker in workers:
            worker.start()
        until(lambda: len(outcomes) > 30)
        command.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, told = command.communicate(timeout=60)
        assert time.monotonic() - began < exit_timeout + 4
        time.sleep(0.2)  # some meet a stopped server
        over.set()
        for worker in workers:
            worker.join()
        idle.close()
    assert command.returncode == 0, told
    accepted = begun.read_text().split()
    assert len(accepted) > 30
    assert [name for name in accepted if outcomes.get(name, True) is not True] == []
    refused = [outcome for outcome in outcomes.values() if outcome is not True]
    assert all(isinstance(outcome, Unavailable) for outcome in refused), refused
    assert any("is stopping" in str(outcome) for outcome in refused)
    assert belongings.left() == []
