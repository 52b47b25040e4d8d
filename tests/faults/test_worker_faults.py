"""Whatever happens to a worker, every request is answered and no other is disturbed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.support.triton import FREE, Belongings, is_worker

import naiad
from naiad.errors import DeadlineExceeded
from naiad.triton.repository import export
from naiad.triton.server import Server

PIPELINES = Path(__file__).parents[1] / "unit" / "runtime" / "degree.py"
KILL, SLEEP = 3.0, 4.0  # codes for the pipeline Trouble


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    repository = tmp_path_factory.mktemp("faults") / "models"
    export(f"{PIPELINES}:Trouble", repository, instances=1, watchdog=1.0)
    export(f"{PIPELINES}:Degree", repository, instances=1)
    export(f"{PIPELINES}:Slow", repository, instances=1, queue_capacity=3)
    with Server(repository, **FREE) as server:
        yield server
        belongings = Belongings.of(server)
    assert belongings.left(within=5) == []


def graph(code: float = 100.0, nodes: int = 3) -> dict[str, Any]:
    x = np.zeros((nodes, 2), np.float32)
    x[0, 0] = code
    return {"x": x, "edge_index": np.zeros((2, 1), np.int64)}


def ask(server: Server, model: str, code: float = 100.0, **options: Any) -> Any:
    """Return the total of the answer, or the error."""
    nodes = options.pop("nodes", 3)
    with naiad.Client(server.grpc_url, retries=0) as client:
        try:
            return client.infer(model, graph(code, nodes), **options)["total"][0]
        except naiad.NaiadError as error:
            return error


def workers(server: Server, name: str) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.Process(server.pid).children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if is_worker(line) and name in line:
            found.append(process)
    return found


def wait_for(what: Callable[[], Any], within: float = 30.0) -> Any:
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def lost(server: Server, model: str, **labels: str) -> float:
    return server.metric("naiad_worker_restarts_total", model=model, **labels)


@pytest.fixture
def steady(server: Server) -> Iterator[list[Any]]:
    """Keep sending requests to another model of the server; yield its answers."""
    answers: list[Any] = []
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(0.02):
            answers.append(ask(server, "degree", 7.0, timeout=20))

    asking = threading.Thread(target=go_on)
    asking.start()
    yield answers
    stop.set()
    asking.join()
    assert answers
    assert set(answers) == {7.0}


def test_a_worker_killed_under_load_loses_no_answer(server: Server, steady: list[Any]):
    before = lost(server, "trouble")
    stop = time.monotonic() + 4

    def load(number: int) -> list[Any]:
        answers: list[Any] = []
        while time.monotonic() < stop:
            answers.append(ask(server, "trouble", 100.0 + number, timeout=30))
        return answers

    with ThreadPoolExecutor(4) as pool:
        loads = [pool.submit(load, number) for number in range(4)]
        for _ in range(2):
            time.sleep(1)
            (worker,) = wait_for(lambda: workers(server, "Trouble"))
            worker.kill()
        for number, answers in enumerate(loads):
            assert set(answers.result()) == {100.0 + number}
    wait_for(lambda: lost(server, "trouble") >= before + 2)


def test_a_worker_that_dies_idle_is_replaced_before_the_next_request(server: Server):
    before = lost(server, "trouble", reason="died")
    (worker,) = wait_for(lambda: workers(server, "Trouble"))
    worker.kill()
    (other,) = wait_for(lambda: [w for w in workers(server, "Trouble") if w.pid != worker.pid])
    wait_for(lambda: lost(server, "trouble", reason="died") >= before + 1)
    assert ask(server, "trouble") == 100.0
    assert workers(server, "Trouble") == [other]


def test_a_forward_that_never_returns_is_ended_by_the_watchdog(server: Server, steady: list[Any]):
    before = lost(server, "trouble", reason="hung")
    with ThreadPoolExecutor(3) as pool:
        codes = (SLEEP, 100.0, 101.0)
        hung, *others = pool.map(lambda code: ask(server, "trouble", code, timeout=60), codes)
    assert isinstance(hung, naiad.Unavailable)
    assert "did not answer within 1 s and was killed, and did so with this request" in str(hung)
    assert others == [100.0, 101.0]
    wait_for(lambda: lost(server, "trouble", reason="hung") >= before + 2)


def test_a_crash_loop_opens_the_circuit_while_other_models_go_on(server: Server, steady: list[Any]):
    assert ask(server, "trouble") == 100.0
    assert "with this request alone" in str(ask(server, "trouble", KILL))
    opened = ask(server, "trouble", KILL)
    assert isinstance(opened, naiad.Unavailable)
    assert "failed 3 times in a row (the worker process ended by signal 9)" in str(opened)
    # On a slow machine the first pause may be over by now; each further one is twice as long.
    wait_for(lambda: "try again in about" in str(ask(server, "trouble", KILL)))
    # After the pause one request is tried; it is answered, so the circuit closes.
    wait_for(lambda: ask(server, "trouble") == 100.0)
    assert [ask(server, "trouble", 100.0 + n) for n in range(3)] == [100.0, 101.0, 102.0]


def test_a_full_queue_refuses_with_a_hint_and_the_rest_are_answered(server: Server):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: ask(server, "slow", 0.5, nodes=60), range(12)))
    refused = [answer for answer in answers if isinstance(answer, naiad.Unavailable)]
    assert all("the queue is full (3 requests waiting); try again" in str(r) for r in refused)
    assert 1 <= len(refused) <= 8
    assert [a for a in answers if not isinstance(a, Exception)] == [0.5] * (12 - len(refused))


def busy(server: Server, pool: ThreadPoolExecutor, seconds: float) -> Any:
    """Occupy the only worker of model ``slow``."""
    ran = server.metric("naiad_stage_seconds_sum", model="slow", stage="queue")
    future = pool.submit(ask, server, "slow", seconds, timeout=60)
    wait_for(lambda: server.metric("naiad_stage_seconds_sum", model="slow", stage="queue") > ran)
    return future


@pytest.mark.parametrize("protocol", [triton_grpc, triton_http])
def test_a_request_whose_deadline_has_passed_is_not_run(server: Server, protocol: Any):
    url = server.grpc_url if protocol is triton_grpc else server.http_url.removeprefix("http://")
    inputs = []
    for (name, array), kind in zip(graph().items(), ("FP32", "INT64"), strict=True):
        inputs.append(protocol.InferInput(name, list(array.shape), kind))
        inputs[-1].set_data_from_numpy(array)
    with ThreadPoolExecutor(1) as pool, protocol.InferenceServerClient(url) as client:
        first = busy(server, pool, 3.0)
        with pytest.raises(
            protocol.InferenceServerException, match=r"within its timeout of 0\.1 s"
        ):
            client.infer("slow", inputs, timeout=100_000)
        assert first.result() == 3.0


def test_a_request_that_its_client_abandoned_is_not_run(server: Server):
    with ThreadPoolExecutor(1) as pool:
        first = busy(server, pool, 3.0)
        assert isinstance(ask(server, "slow", 50.0, timeout=0.2), DeadlineExceeded)
        assert first.result() == 3.0
        assert ask(server, "slow", 0.0, timeout=20) == 0.0


def test_urgent_requests_overtake(server: Server):
    ended: list[str] = []

    def tracked(name: str, priority: int) -> None:
        options = {"parameters": {"naiad_priority": priority}} if priority else {}
        assert ask(server, "slow", 0.3, nodes=60, **options) == np.float32(0.3)
        ended.append(name)

    with ThreadPoolExecutor(4) as pool:
        first = busy(server, pool, 3.0)
        others = [pool.submit(tracked, "later", 5), pool.submit(tracked, "default", 0)]
        time.sleep(0.3)
        others.append(pool.submit(tracked, "urgent", -1))
        for future in (first, *others):
            future.result()
    assert ended == ["urgent", "default", "later"]


@pytest.mark.parametrize("priority", [11, 0.5, "high", True])
def test_an_invalid_priority_is_refused(server: Server, priority: Any):
    answer = ask(server, "degree", parameters={"naiad_priority": priority})
    assert isinstance(answer, naiad.InvalidInput)
    assert "it must be an integer from -10 (most urgent) to 10" in str(answer)
