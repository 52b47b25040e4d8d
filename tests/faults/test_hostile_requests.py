"""No request ends a process of a server, or disturbs other clients.

The generator runs for ``NAIAD_FUZZ_SECONDS``; for an hour: ``make fuzz SECONDS=3600``.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
import pytest
from tests.fuzz import requests
from tests.fuzz.budget import SECONDS
from tests.fuzz.pipelines import ALL
from tests.support.markdown import ROOT
from tests.support.triton import FREE, Belongings, is_worker

import naiad
from naiad.triton.repository import export
from naiad.triton.server import Server

DEGREE = Path(__file__).parents[1] / "unit" / "runtime" / "degree.py"
PIPELINES = Path(requests.__file__).with_name("pipelines.py")
METHOD = "/inference.GRPCInferenceService/ModelInfer"

RAISING = """
import os
import numpy as np
import naiad

class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no")

def deep():
    deep()

class Raising(naiad.Pipeline):
    inputs = {
        "x": naiad.Tensor("float32", ("nodes", 2)),
        "edge_index": naiad.Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {"sum": naiad.Tensor("float32", ("nodes",))}
    arrays = "numpy"

    def prepare(self, request):
        match int(request["x"][0, 0]) if len(request["x"]) else 0:
            case 1:
                raise ValueError(os.fsdecode(b"caf\\xe9"))
            case 2:
                raise Silent
            case 3:
                raise SystemExit(3)
            case 4:
                raise KeyboardInterrupt
            case 5:
                deep()
            case 6:
                raise naiad.InvalidInput("\\u00e9" * 20000)
            case 7:
                return [1]
        return request.arrays

    def forward(self, batch):
        return {"sum": batch["x"].sum(1)}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hostile")
    repository = folder / "models"
    (folder / "raising.py").write_text(RAISING)
    export(f"{folder}/raising.py:Raising", repository, instances=1)
    export(f"{DEGREE}:Degree", repository, instances=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=":")  # the pipelines import from tests
        for pipeline in ALL:
            export(f"{PIPELINES}:{pipeline.__name__}", repository, instances=1)
        with Server(repository, **FREE) as server:
            yield server
            belongings = Belongings.of(server)
    assert belongings.left(within=5) == []


def processes(server: Server) -> list[int]:
    """Return Triton's process and all workers."""
    children = psutil.Process(server.pid).children(recursive=True)
    workers = [child.pid for child in children if is_worker(" ".join(child.cmdline()))]
    return sorted([server.pid or 0, *workers])


@pytest.fixture
def unharmed(server: Server) -> Iterator[Counter[str]]:
    """Check that another client gets right answers in time, and that no process was replaced."""
    before = processes(server)
    assert len(before) == 3 + len(ALL)
    stop = threading.Event()
    seen: Counter[str] = Counter()

    def go_on() -> None:
        with naiad.Client(server.grpc_url, retries=0) as client:
            while True:
                x = np.full((3, 2), seen["answers"] % 100, np.float32)
                edges = np.array([[0, 1], [2, 2]])
                found = client.infer("degree", {"x": x, "edge_index": edges}, timeout=20)
                assert found["total"][0] == x.sum()
                assert found["degree"].tolist() == [0, 0, 2]
                seen["answers"] += 1
                if stop.wait(0.02):
                    return

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(go_on)
        yield seen
        stop.set()
        asking.result()
    assert seen["answers"] > 0
    assert processes(server) == before


def post(server: Server, model: str, sent: requests.Http) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.http_url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", f"/v2/models/{model}/infer", sent.body, dict(sent.headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def document(**changes: Any) -> dict[str, Any]:
    inputs = [
        {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0, 0]},
        {"name": "edge_index", "datatype": "INT64", "shape": [2, 1], "data": [0, 0]},
    ]
    return {"inputs": inputs, **changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": "caf@"}, r'the request id is "caf\xe9", which is not UTF-8'),
        ({"parameters": {"caf@": 1}}, r'the name of parameter "caf\xe9" is not UTF-8'),
        ({"parameters": {"a": "caf@"}}, r'parameter a is "caf\xe9", which is not UTF-8'),
        ({"parameters": {"a": float("nan")}}, "parameter a is nan; it must be a finite number"),
        ({"parameters": {"a": float("-inf")}}, "parameter a is -inf; it must be a finite number"),
        ({"id": "a" * 70_000}, "id and parameters have 70,000 bytes; they may have 65,536"),
    ],
)
@pytest.mark.usefixtures("unharmed")
def test_text_and_numbers_that_cannot_be_encoded_are_refused(
    server: Server, changes: dict[str, Any], reason: str
) -> None:
    body = json.dumps(document(**changes)).encode().replace(b"@", b"\xe9")
    status, said = post(server, "raising", requests.Http(body))
    assert status == 400
    assert reason in json.loads(said)["error"]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ([2, 2**61], "edge_index has shape [2, 2305843009213693952], which is too large for any"),
        ([2, 2**59], "byte size mismatch"),  # Triton's own words, where it does not overflow
    ],
)
@pytest.mark.usefixtures("unharmed")
def test_a_shape_larger_than_its_data_is_refused(
    server: Server, shape: list[int], reason: str
) -> None:
    asked = document()
    asked["inputs"][1] = {
        "name": "edge_index",
        "datatype": "INT64",
        "shape": shape,
        "parameters": {"binary_data_size": 0},
    }
    body = json.dumps(asked).encode()
    headers = {"Inference-Header-Content-Length": str(len(body))}
    status, said = post(server, "raising", requests.Http(body, headers))
    assert status == 400, said
    assert reason in json.loads(said)["error"]


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (1, naiad.PipelineError, r"prepare() raised ValueError: caf\udce9"),
        (2, naiad.PipelineError, "raised Silent: its message cannot be read: RuntimeError"),
        (3, naiad.PipelineError, "raised SystemExit: 3"),
        (4, naiad.PipelineError, "raised KeyboardInterrupt"),
        (5, naiad.PipelineError, "raised RecursionError: maximum recursion depth"),
        (6, naiad.InvalidInput, "(cut; it has 40000 bytes)"),
        (7, naiad.PipelineError, "prepare() returned a list; it must be a mapping"),
    ],
)
@pytest.mark.usefixtures("unharmed")
def test_a_hook_may_raise_anything(server: Server, code: int, kind: type, reason: str) -> None:
    x = np.full((1, 2), code, np.float32)
    edges = np.zeros((2, 0), np.int64)
    for url in (server.grpc_url, server.http_url):
        with naiad.Client(url, retries=0) as client, pytest.raises(kind) as caught:
            client.infer("raising", x=x, edge_index=edges)
        assert reason in str(caught.value)


class Attack:
    """One thread's requests and their answers."""

    def __init__(self, server: Server, seed: int) -> None:
        self._server = server
        self._rng = random.Random(seed)
        self.answers: Counter[str] = Counter()

    def run(self, deadline: float) -> Counter[str]:
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(self._server.grpc_url.removeprefix("grpc://"), options) as chan:
            infer = chan.unary_unary(METHOD)
            while time.monotonic() < deadline:
                kind = self._rng.choice(ALL)
                if self._rng.random() < 0.5:
                    self._ask_grpc(infer, requests.grpc(self._rng, kind))
                else:
                    self._ask_http(kind.name, requests.http(self._rng, kind))
        return self.answers

    def _ask_http(self, model: str, sent: requests.Http) -> None:
        status, said = post(self._server, model, sent)
        _require_a_refusal(str(said), sent)
        assert status == 200 or status in range(400, 501), (status, said, sent)
        if status != 200:
            # Triton's own messages repeat the request, which may not be text.
            assert b'"error"' in said, (status, said, sent)
        self.answers[f"HTTP {status}"] += 1

    def _ask_grpc(self, infer: Any, sent: bytes) -> None:
        try:
            infer(sent, timeout=30)
        except grpc.RpcError as error:
            code, said = error.code(), error.details()
            _require_a_refusal(said, sent)
            lost = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}
            assert code not in lost, (said, sent)
            late = "within its timeout" in said  # a timeout set by the request itself
            assert code != grpc.StatusCode.UNAVAILABLE or late, (said, sent)
            self.answers[f"gRPC {code.name}"] += 1
        else:
            self.answers["gRPC OK"] += 1


def _require_a_refusal(said: str, sent: object) -> None:
    """Fail on errors of Naiad itself, or of a hook that got an invalid value."""
    assert not re.search(r"internal error|raised \w|could not be read", said), (said, sent)


def test_no_request_of_the_protocol_ends_a_process(server: Server, unharmed: Counter[str]) -> None:
    seed = random.randrange(2**32)
    deadline = time.monotonic() + SECONDS
    answers: Counter[str] = Counter()
    with ThreadPoolExecutor(4) as pool:
        attacks = [Attack(server, seed + number) for number in range(4)]
        for done in pool.map(lambda attack: attack.run(deadline), attacks):
            answers.update(done)
    said = ", ".join(f"{what} {count:,}" for what, count in sorted(answers.items()))
    print(f"live server (seed {seed}): {answers.total():,} requests in {SECONDS} s: {said}")
    print(f"beside them {unharmed['answers']:,} of another client, all answered")
    assert answers["gRPC OK"], answers
    assert answers["HTTP 200"], answers
