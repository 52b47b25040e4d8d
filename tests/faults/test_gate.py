"""Envoy or Triton is killed under load: both recover, and no client loses a request."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from tests.support.metrics import families
from tests.support.triton import FREE, Belongings, copy_model

from naiad import Client, GateSettings, Server, UiSettings, testing
from naiad.applications.nugraph.task import NuGraph3Task
from naiad.audit import audit
from naiad.client.access import Access
from naiad.errors import NotAllowed
from naiad.gate.keys import add_key, remove_key

CLIENTS = 8


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    copy_model(tmp_path / "models", "identity")
    return tmp_path / "models"


@contextmanager
def load(client: Client) -> Iterator[list[object]]:
    """Run clients with default settings that keep sending requests; yield the list of errors."""
    stop, wrong, counts = threading.Event(), list[object](), [0] * CLIENTS

    def ask(number: int) -> None:
        while not stop.is_set():
            x = np.full(3, counts[number], np.float32)
            try:
                if not np.array_equal(client.infer("identity", x=x)["y"], x):
                    wrong.append(x)
            except Exception as error:
                wrong.append(error)
            counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(counts))
        yield wrong
        reached = list(counts)
        until(lambda: all(now > then for now, then in zip(counts, reached, strict=True)))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def ready(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.health_url}/readyz", timeout=5) as answer:
            return json.loads(answer.read())["ready"]
    except urllib.error.HTTPError:
        return False


def envoy() -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    return next(child for child in children if child.name() == "envoy")


def page() -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):  # one that ends meanwhile
            if "naiad.ui.process" in child.cmdline():
                return child
    raise AssertionError("there is no page")


@pytest.mark.parametrize("gate", [None, GateSettings()])
def test_no_request_fails_while_triton_is_killed_four_times(
    repository: Path, gate: GateSettings | None
):
    with (
        Server(repository, **FREE, health_port=0, gate=gate) as server,
        Client(server.grpc_url) as client,
        load(client) as wrong,
    ):
        for _ in range(4):
            until(lambda: ready(server))
            before = server.pid
            psutil.Process(before).kill()
            until(lambda pid=before: server.pid not in (pid, None))
        until(lambda: ready(server))
    assert wrong == []


def test_no_request_fails_while_the_gate_is_killed_and_readiness_reports_it(
    repository: Path,
):
    with (
        Server(repository, **FREE, health_port=0, gate=GateSettings()) as server,
        Client(server.grpc_url) as client,
        load(client) as wrong,
    ):
        triton = server.pid
        for _ in range(3):
            gone = envoy()
            gone.kill()
            until(lambda: not ready(server))
            until(lambda: ready(server))
            assert envoy().pid != gone.pid
        assert server.pid == triton
        with urllib.request.urlopen(f"{server.health_url}/metrics", timeout=10) as answer:
            found = families(answer.read().decode())
        assert found["naiad_gate_ready"].samples[0].value == 1
        assert {"nv_inference_request_success", "envoy_http_downstream_rq"} <= set(found)
    assert wrong == []


def test_a_server_behind_a_gate_leaves_nothing(repository: Path, tmp_path: Path):
    socket = tmp_path / "naiad.sock"
    gated = GateSettings(socket=socket)
    with Server(repository, **FREE, gate=gated, ui=UiSettings()) as server:
        belongings = Belongings.of(server)
        beside = envoy(), page()
        assert socket.stat().st_mode & 0o777 == 0o600
        with Client(f"unix:{socket}") as client:
            x = np.ones(2, np.float32)
            assert np.array_equal(client.infer("identity", x=x)["y"], x)
            assert [model.name for model in client.models()] == ["identity"]
    assert not any(process.is_running() for process in beside)
    assert belongings.left() == []
    assert not socket.exists()
    assert not socket.with_name("naiad.sock.key").exists()


def test_a_running_server_and_its_tasks_refuse_a_removed_key_and_accept_a_new_one(tmp_path: Path):
    keys = tmp_path / "keys.json"
    first = add_key(keys, "first")
    gate = GateSettings(api_keys=keys, max_request_mb=3)
    with testing.serve("nugraph3", instances=1, gate=gate, ui=UiSettings()) as server:
        tasks = f"{server.page_url.removesuffix('/ui')}/v1/tasks"
        assert tasks.startswith(server.http_url)

        def status(key: str) -> int:
            return requests.get(tasks, auth=("me", key), timeout=20).status_code

        def may(key: str) -> bool:
            with Client(server.grpc_url, api_key=key, retries=0) as client:
                try:
                    client.metadata("nugraph3")
                except NotAllowed:
                    return False
                return True

        assert may(first)
        assert status(first) == 200
        second = add_key(keys, "second")
        until(lambda: may(second), 10)
        remove_key(keys, "first")
        until(lambda: not may(first), 10)
        assert may(second)
        assert (status(first), status(second)) == (401, 200)

        findings = audit(server.http_url, Access(api_key=second))
        (about,) = [found for found in findings if found.subject == "page and tasks"]
        expected = f"with API keys, at {server.page_url}, with requests up to 3 MB"
        assert (about.state, about.verdict) == (expected, "closed")

        task = NuGraph3Task()
        task.save(task.simulate(1, 0, task.SimulateOptions()), tmp_path / "a.h5", lambda *_: None)

        def asked(key: str | None, content: bytes) -> tuple[int, dict[str, Any]]:
            headers = {} if key is None else {"x-api-key": key}
            files = {"files": ("a.h5", content)}
            answer = requests.post(f"{tasks}/nugraph3", headers=headers, files=files, timeout=60)
            return answer.status_code, answer.json()

        event = (tmp_path / "a.h5").read_bytes()
        code, answer = asked(second, event)
        assert (code, len(answer["answers"][0]["rows"]) > 10) == (200, True)
        other = add_key(keys, "other", models=("mednist",))
        slow = add_key(keys, "slow", rate="2/h")
        until(lambda: status(slow) == 200, 10)
        refused = {
            "missing": (asked(None, event), 401, "key"),
            "wrong": (asked(first, event), 401, "key"),
            "of others": (asked(other, event), 403, "this key is for models mednist"),
            "too fast": ([asked(slow, b"") for _ in range(3)][-1], 429, "reached its rate limit"),
            "too large": (asked(second, bytes(3_000_000)), 413, "larger than"),
            "no event": (asked(second, b"x"), 400, "a.h5"),
        }
        for name, ((code, answer), expected, said) in refused.items():
            assert (code, said in answer["error"]) == (expected, True), (name, answer)
