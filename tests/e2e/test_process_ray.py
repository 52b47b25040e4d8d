"""``naiad process --engine ray`` on a cluster of several nodes, one of which is killed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tests.support.full import full
from tests.support.markdown import ROOT
from tests.unit.bulk.numbers import Numbers, read_pairs, read_provenance, write_numbers
from typer.testing import CliRunner

from naiad import testing
from naiad.applications.nugraph.events import write_events
from naiad.applications.nugraph.result_files import read_results
from naiad.applications.nugraph.simulate import simulate
from naiad.bulk.on_ray import OnRay, RaySettings
from naiad.bulk.run import run
from naiad.bulk.settings import Settings
from naiad.cli.main import app
from naiad.console import PlainConsole

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")

STORE = 80 << 20  # bytes, Ray's minimum
# A silent node counts as dead after a second, not after half a minute.
HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster  # takes seconds to import

    before = set(psutil.Process().children(recursive=True))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("PYTHONPATH", str(ROOT))  # actors import from the tests
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": HEALTH}
        cluster = Cluster(
            initialize_head=True, head_node_args={"object_store_memory": STORE, **head}
        )
        yield cluster
        cluster.shutdown()
    started = set(psutil.Process().children(recursive=True)) - before
    _, left = psutil.wait_procs(started, 10)
    assert not left


@full
def test_a_killed_actor_and_node_lose_and_repeat_nothing(cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    for name in range(3):
        write_numbers(tmp_path / "in" / f"{name}.txt", [*range(60 * name, 60 * name + 60), "end"])
    wanted = Settings(
        application="half",
        bulk=Numbers(pause=0.02),
        paths=[tmp_path / "in"],
        results=tmp_path / "out",
        suffix=".json",
        chunk=5,
    )
    over = threading.Event()

    def wait_for(chunks: int) -> int:
        done = 0
        while done < chunks and not over.wait(0.02):
            done = len(list((tmp_path / "out").rglob("*.done")))
        return done

    def kill() -> int:
        wait_for(3)
        actors = [p for p in psutil.Process().children(recursive=True) if "MapWorker" in p.name()]
        actors[0].kill()
        done = wait_for(10)
        cluster.remove_node(node, allow_graceful=False)
        return done

    settings = RaySettings(address=cluster.address)
    engine = OnRay("tests.unit.bulk.numbers:HalfPipeline", None, settings)
    with engine, ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill)
        try:
            summary = run(wanted, engine, PlainConsole(quiet=True))
        finally:
            over.set()
        assert 10 <= killed.result() < 39
    assert (summary.written, summary.failed) == (180, 3)
    for name in range(3):
        wanted = [(n, n) for n in range(60 * name, 60 * name + 60)]
        assert read_pairs(tmp_path / "out" / f"{name}.json") == wanted
        assert read_provenance(tmp_path / "out" / f"{name}.json")["engine"] == "ray"


def test_answers_are_those_of_a_server(cluster: Any, tmp_path: Path) -> None:
    write_events(tmp_path / "events.h5", simulate(12, seed=8))
    words = ["process", "nugraph3", str(tmp_path / "events.h5"), "--chunk", "8", "-o"]
    ray = ["--engine", "ray", "--ray-address", cluster.address, "--actors", "1"]
    with testing.serve("nugraph3", instances=1) as server:
        for name, engine in {"ray": ray, "server": ["--server", server.grpc_url]}.items():
            result = CliRunner().invoke(app, [*words, str(tmp_path / name), *engine])
            assert result.exit_code == 0, result.output
    pairs = [read_results(tmp_path / engine / "events.h5") for engine in ("ray", "server")]
    for one, other in zip(*pairs, strict=True):
        assert (one.run, one.subrun, one.event) == (other.run, other.subrun, other.event)
        assert one.labels == other.labels
        assert (one.hits["semantic"] == other.hits["semantic"]).all()
        np.testing.assert_allclose(one.hits["filter"], other.hits["filter"], atol=1e-5)
        np.testing.assert_allclose(one.vertex, other.vertex, atol=5e-4)
