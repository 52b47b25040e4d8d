"""`naiad tune`, and servers with a tuning and a latency target."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests.support import forks
from tests.support.triton import is_worker

import naiad
from naiad import testing
from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.triton.config import read_config, read_parameters
from naiad.triton.repository import export
from naiad.tuning import Tuning, parse_tuning

PIPELINES = Path(__file__).parents[1] / "unit" / "runtime" / "degree.py"


def test_a_tuning_is_written_with_a_picture_and_served(tmp_path):
    done = subprocess.run(
        [
            *forks.naiad(),
            *("tune", f"{PIPELINES}:Kneed", "--seconds", "0.5", "--latency-target-ms", "80"),
            *("--output", str(tmp_path / "tuned")),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "recommended: Budget(" in done.stdout
    assert "256 random requests" in done.stdout
    assert (tmp_path / "tuned" / "tuning.png").read_bytes().startswith(b"\x89PNG")
    file = tmp_path / "tuned" / "tuning.json"
    tuning = parse_tuning(file)
    assert tuning.latency_target == pytest.approx(0.08)
    with testing.serve(f"{PIPELINES}:Kneed", tuning=file) as server:
        workers = [
            process
            for process in psutil.Process(server.pid).children(recursive=True)
            if is_worker(" ".join(process.cmdline()))
        ]
        assert len(workers) == tuning.instances
        assert server.client().infer("kneed", graph())["total"] == [0]


def graph():
    return {"x": np.zeros((3, 2), np.float32), "edge_index": np.zeros((2, 4), np.int64)}


def tuned(tmp_path, **changes):
    values = {
        "pipeline": "metered",
        "device": "cpu",
        "budget": Budget(requests=64),
        "instances": 1,
        "threads": 1,
        "cost": Cost(per={"requests": 0.02}),
        "latency_target": None,
        "study": {},
    }
    path = tmp_path / "tuning.json"
    path.write_text(Tuning(**(values | changes)).to_json())
    return path


def largest_batch(repository):
    """Return the largest batch of 36 requests, twelve at a time, at 20 ms per request."""
    with (
        testing.serve(model_repository=repository) as server,
        ThreadPoolExecutor(12) as pool,
    ):
        client = server.client()
        sizes: list[int] = []
        for _ in range(3):
            ask = [pool.submit(client.infer, "metered", graph()) for _ in range(12)]
            sizes += [int(answer.result()["company"][0]) for answer in ask]
    return max(sizes)


def test_a_tuned_budget_bounds_batches(tmp_path):
    export(
        f"{PIPELINES}:Metered", tmp_path / "m", tuning=tuned(tmp_path, budget=Budget(requests=3))
    )
    assert largest_batch(tmp_path / "m") == 3


def test_a_wrongly_edited_parameter_is_reported_at_load_time(tmp_path):
    model = export(f"{PIPELINES}:Metered", tmp_path / "m", tuning=tuned(tmp_path))
    config = model.path / "config.pbtxt"
    config.write_text(config.read_text().replace('{\\"requests\\": 64}', "many"))
    assert "many" in config.read_text()
    with pytest.raises(naiad.NaiadError, match="parameter budget is invalid"):
        testing.serve(model_repository=tmp_path / "m")


def test_a_latency_target_makes_smaller_batches(tmp_path):
    without = export(f"{PIPELINES}:Metered", tmp_path / "without", tuning=tuned(tmp_path))
    with_target = export(
        f"{PIPELINES}:Metered", tmp_path / "with", tuning=tuned(tmp_path), latency_target=0.15
    )
    assert "latency_target" not in read_parameters(read_config(without.path / "config.pbtxt"))
    parameters = read_parameters(read_config(with_target.path / "config.pbtxt"))
    assert parameters["latency_target"] == "0.15"
    assert largest_batch(tmp_path / "without") >= 10
    # At most seven of eleven waiting requests can be answered within 150 ms.
    assert largest_batch(tmp_path / "with") <= 8


def test_a_latency_target_learns_the_cost_of_batches(tmp_path):
    """Three batches show that a request takes 20 ms."""
    export(f"{PIPELINES}:Metered", tmp_path / "m", instances=1, latency_target=0.15)
    with (
        testing.serve(model_repository=tmp_path / "m") as server,
        ThreadPoolExecutor(12) as pool,
    ):
        client = server.client()
        for _ in range(3):
            client.infer("metered", graph())
        ask = [pool.submit(client.infer, "metered", graph()) for _ in range(12)]
        assert max(int(answer.result()["company"][0]) for answer in ask) <= 8


def test_a_wrongly_edited_latency_target_is_reported_at_load_time(tmp_path):
    model = export(f"{PIPELINES}:Metered", tmp_path / "m", latency_target=0.15)
    config = model.path / "config.pbtxt"
    config.write_text(config.read_text().replace('"0.15"', '"-1"'))
    with pytest.raises(naiad.NaiadError, match="latency_target is -1 s; it must be more than 0"):
        testing.serve(model_repository=tmp_path / "m")
