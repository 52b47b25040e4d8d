"""A server's memory does not grow, however long it runs and whatever clients send or abandon.

Shortened by default; ``NAIAD_SOAK_REQUESTS=50000 NAIAD_VANISHING_CLIENTS=1000`` is the full length,
and ``-s`` shows the measurements.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.support.memory import Usage
from tests.support.triton import FREE, Belongings, write_model

import naiad
from naiad.triton.repository import export
from naiad.triton.server import Server
from naiad.triton.supervisor import Supervision

REQUESTS = int(os.environ.get("NAIAD_SOAK_REQUESTS", "3000"))
VANISHING = int(os.environ.get("NAIAD_VANISHING_CLIENTS", "100"))
LARGEST = 250_000  # float32: 1 MB

PIPELINE = """
import time

import numpy as np

import naiad


class Twice(naiad.Pipeline):
    inputs = {"x": naiad.Tensor("float32", ("n",))}
    outputs = {"y": naiad.Tensor("float32", ("n",))}
    budget = naiad.Budget(n=2_000_000, requests=16)
    limit = naiad.Budget(n=10_000_000)
    arrays = "numpy"

    def prepare(self, request):
        if request.sizes["n"] and request["x"][0] == 666:
            raise ValueError("the number of the beast")
        return request.arrays

    def forward(self, batch):
        if batch.total("n") and batch["x"].max() == 777:
            time.sleep(0.05)
        return {"y": 2 * batch["x"]}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "twice.py").write_text(PIPELINE)
    export(f"{tmp_path / 'twice.py'}:Twice", tmp_path / "models", instances=2)
    arguments = ("--load-model=*",)
    with Server(
        tmp_path / "models", **FREE, model_control="explicit", arguments=arguments
    ) as server:
        belongings = Belongings.of(server)
        yield server
    assert belongings.left(within=5) == []


def inputs(protocol: Any, x: np.ndarray[Any, Any]) -> list[Any]:
    tensor = protocol.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    return [tensor]


def address(server: Server, protocol: Any) -> str:
    return server.grpc_url if protocol is triton_grpc else server.http_url.removeprefix("http://")


class Soak:
    """Send requests of random size over both protocols; some are refused, fail or are cancelled."""

    def __init__(self, server: Server, requests: int) -> None:
        self.server = server
        self.left = requests
        self.done = 0
        self.cancelled = 0
        self.refused = 0
        self._lock = threading.Lock()

    def run(self, protocol: Any, seed: int) -> None:
        dice = random.Random(seed)
        data = np.random.default_rng(seed).uniform(size=LARGEST).astype(np.float32)
        with protocol.InferenceServerClient(address(self.server, protocol)) as client:
            while self._next():
                x = data[: int(LARGEST ** dice.random())].copy()
                kind = dice.random()
                if kind < 0.03:
                    self._refused(protocol, client, x)
                elif kind < 0.06 and protocol is triton_grpc:
                    self._cancelled(client, x, dice.random() * 0.005)
                else:
                    y = client.infer("twice", inputs(protocol, x)).as_numpy("y")
                    assert np.array_equal(y, 2 * x)
                self.done += 1

    def _next(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left >= 0

    def _refused(self, protocol: Any, client: Any, x: np.ndarray[Any, Any]) -> None:
        x[0] = 666 if len(x) % 2 else np.nan
        with pytest.raises(protocol.InferenceServerException, match=r"beast|finite"):
            client.infer("twice", inputs(protocol, x))
        self.refused += 1

    def _cancelled(self, client: Any, x: np.ndarray[Any, Any], after: float) -> None:
        ended = threading.Event()
        request = client.async_infer(
            "twice", inputs(triton_grpc, x), lambda result, error: ended.set()
        )
        time.sleep(after)
        request.cancel()
        assert ended.wait(30)
        self.cancelled += 1


@pytest.mark.timeout(1800)
def test_requests_of_random_size_do_not_grow_a_server(server: Server):
    soak = Soak(server, REQUESTS)
    samples: list[tuple[int, Usage]] = []
    began = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        protocols = [triton_grpc] * 4 + [triton_http] * 2
        asking = [pool.submit(soak.run, protocol, seed) for seed, protocol in enumerate(protocols)]
        while not all(one.done() for one in asking):
            samples.append((soak.done, Usage.of(server)))
            time.sleep(0.25)
        for one in asking:
            one.result()
    thirds = [
        Usage.median([usage for done, usage in samples if low <= done / REQUESTS <= low + 1 / 3])
        for low in (0, 1 / 3, 2 / 3)
    ]
    print(
        f"\n{REQUESTS:,} requests in {time.monotonic() - began:.0f} s, {soak.refused:,} refused, "
        f"{soak.cancelled:,} cancelled; MB per third:",
        *thirds,
        sep="\n",
    )
    assert soak.refused > REQUESTS / 100
    assert soak.cancelled > REQUESTS / 200
    assert_same_size(thirds[1], thirds[2])


def assert_same_size(before: Usage, after: Usage) -> None:
    assert after.shm <= before.shm + 2, (before, after)
    assert after.triton <= 1.1 * before.triton + 10, (before, after)
    assert after.stubs <= 1.1 * before.stubs + 10, (before, after)
    assert after.workers <= 1.1 * before.workers + 10, (before, after)


def test_large_requests_at_once_stay_within_bounded_shared_memory(server: Server):
    clients, rounds = 8, 10
    x = np.arange(1_250_000, dtype=np.float32)  # 5 MB
    sampled = [Usage.of(server)]

    def ask_often(_: int) -> None:
        with triton_grpc.InferenceServerClient(server.grpc_url) as client:
            for _ in range(rounds):
                y = client.infer("twice", inputs(triton_grpc, x)).as_numpy("y")
                assert np.array_equal(y, 2 * x)

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask_often, number) for number in range(clients)]
        while not all(one.done() for one in asking):
            sampled.append(Usage.of(server))
            time.sleep(0.1)
        for one in asking:
            one.result()
    largest = Usage.median(sampled[len(sampled) // 2 :])
    print(f"\n{clients * rounds} requests of 5 MB, {clients} at once, MB: {largest}")
    # Each request in flight has its input and output there, and Triton's pool grows in steps.
    assert max(usage.shm for usage in sampled) < 4 * clients * x.nbytes / 1e6
    # Merged input and output of two workers, of 8 MB each at most, and numpy's own of the same.
    assert max(usage.workers for usage in sampled) - sampled[0].workers < 200
    assert max(usage.stubs for usage in sampled) - sampled[0].stubs < 200


KILLED = """
import sys, time
import numpy as np
import tritonclient.grpc as triton_grpc

x = np.full(int(sys.argv[2]) // 4, 777, np.float32)
tensor = triton_grpc.InferInput("x", list(x.shape), "FP32")
tensor.set_data_from_numpy(x)
client = triton_grpc.InferenceServerClient(sys.argv[1])
for line in sys.stdin:
    for _ in range(int(line)):
        client.async_infer("twice", [tensor], lambda result, error: None)
    print("sent", flush=True)
"""


def cancelled(server: Server, x: np.ndarray[Any, Any], count: int) -> None:
    dice = random.Random(1)
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for _ in range(count):
            ended = threading.Event()
            request = client.async_infer(
                "twice", inputs(triton_grpc, x), lambda result, error, e=ended: e.set()
            )
            time.sleep(dice.random() * 0.02)
            request.cancel()
            assert ended.wait(30)


def timed_out(server: Server, x: np.ndarray[Any, Any], count: int) -> None:
    dice = random.Random(2)
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for _ in range(count):
            seconds = 0.001 + dice.random() * 0.02
            with pytest.raises(triton_grpc.InferenceServerException, match="Deadline"):
                client.infer("twice", inputs(triton_grpc, x), client_timeout=seconds)


def killed(server: Server, x: np.ndarray[Any, Any], count: int) -> None:
    """Kill processes with requests in flight."""
    at_once = 25
    for start in range(0, count, at_once):
        command = [sys.executable, "-c", KILLED, server.grpc_url, str(x.nbytes)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{min(at_once, count - start)}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "sent\n"
            time.sleep(0.05 * (start // at_once % 4))
            process.kill()


def hung_up(server: Server, x: np.ndarray[Any, Any], count: int) -> None:
    """Close or reset HTTP connections within the request or after it."""
    dice = random.Random(3)
    body, header = triton_http.InferenceServerClient.generate_request_body(inputs(triton_http, x))
    head = (
        "POST /v2/models/twice/infer HTTP/1.1\r\nHost: localhost\r\n"
        f"Inference-Header-Content-Length: {header}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    host, _, port = address(server, triton_http).rpartition(":")
    for _ in range(count):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            whole = dice.random() < 0.5
            connection.sendall(head + body[: None if whole else int(len(body) * dice.random())])
            time.sleep(dice.random() * 0.02)
            if dice.random() < 0.5:  # reset instead of closed
                option = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)


VANISH: list[Callable[[Server, np.ndarray[Any, Any], int], None]] = [
    cancelled,
    timed_out,
    killed,
    hung_up,
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", [1_000, 2_000_000])
def test_clients_that_vanish_leave_a_model_that_answers_and_has_hardly_grown(
    server: Server, size: int
):
    x = np.full(size // 4, 777, np.float32)  # takes 50 ms, so that there is something to abandon
    seen = [Usage.of(server)]
    print(f"\n{size:,} bytes, MB before: {seen[0]}")
    for vanish in VANISH:
        vanish(server, x, VANISHING)
        ask(server)
        seen.append(Usage.of(server))
        print(f"after {VANISHING} {vanish.__name__}: {seen[-1]}")
    # Buffers for as much as was under way at once, and what Triton 2.51 loses: naiad.triton.memory.
    assert seen[-1].shm < 32
    assert seen[-1].triton - seen[0].triton < 20 + 200 * size / 1e6
    assert seen[-1].stubs - seen[0].stubs < 20 + 60 * size / 1e6
    assert seen[-1].workers - seen[0].workers < 20 + 60 * size / 1e6


def ask(server: Server) -> None:
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        for _ in range(20):
            y = client.infer("twice", inputs(triton_grpc, np.ones(3, np.float32))).as_numpy("y")
            assert np.array_equal(y, [2, 2, 2])


HOARDER = """
import time

import numpy as np
import triton_python_backend_utils as pb_utils

hoard = []

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        hoard.append(np.ones(int(x[0])))
        time.sleep(float(x[1]))
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", x)])
"""


def small(server: Server, first: int | None) -> bool:
    """Return whether a new Triton runs with little memory."""
    if server.pid in (None, first):
        return False
    usage = Usage.of(server)
    return usage.stubs + usage.triton < 150


def test_a_server_that_grows_beyond_its_memory_limit_is_drained_and_restarted(tmp_path: Path):
    write_model(tmp_path / "models", "hoarder", HOARDER)
    events: list[str] = []
    policy = Supervision(interval=0.2, memory_limit=200_000_000)
    with (
        Server(
            tmp_path / "models",
            **FREE,
            supervision=policy,
            on_event=lambda event: events.append(event.text),
        ) as server,
        naiad.Client(server.grpc_url, retries=0) as client,
        naiad.Client(server.grpc_url, retries=20) as patient,
    ):
        first = server.pid
        # It has the memory for two seconds before it answers, in which the restart begins.
        x = np.array([25e6, 2.0], np.float32)
        assert np.array_equal(client.infer("hoarder", x=x)["y"], x)
        y = patient.infer("hoarder", x=x * 0)["y"]
        assert np.array_equal(y, x * 0)
        deadline = time.monotonic() + 20
        while not (any("serving again" in text for text in events) and small(server, first)):
            assert time.monotonic() < deadline, events
            time.sleep(0.05)
        assert any("its memory limit is 200 MB" in text for text in events)
        assert np.array_equal(patient.infer("hoarder", x=x * 0)["y"], x * 0)
