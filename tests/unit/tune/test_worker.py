from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import psutil
import pytest

from naiad.core.pipeline import Request, load_pipeline
from naiad.errors import InvalidInput, PipelineError
from naiad.runtime.environment import numeric_environment
from naiad.runtime.runner import STAGES
from naiad.runtime.spec import Spec
from naiad.tune.worker import Worker

DEGREE = f"{__file__.rpartition('/tune/')[0]}/runtime/degree.py"


@pytest.fixture
def start():
    """Start a worker with a pipeline of degree.py, and wait for its model."""
    with ExitStack() as stack:

        def start(name, **options):
            worker = stack.enter_context(closing(Worker(Spec(f"{DEGREE}:{name}"), **options)))
            worker.ready()
            return worker

        yield start


def graph(code=0.0):
    """Make a graph of three nodes; ``code`` tells Trouble what to do."""
    arrays = {"x": np.zeros((3, 2), np.float32), "edge_index": np.zeros((2, 4), np.int64)}
    arrays["x"][0, 0] = code
    return load_pipeline(f"{DEGREE}:Trouble").contract().request(arrays, "", {})


def test_seconds_are_those_of_the_stages_and_not_of_the_way_there(start):
    worker = start("Metered")
    began = time.perf_counter()
    run = worker.run([graph(), graph()])
    assert time.perf_counter() - began > run.seconds == sum(run.stages.values())
    assert set(run.stages) == set(STAGES)
    assert run.error is None
    assert 0.04 <= run.stages["forward"] <= run.seconds


def test_lots_are_run_in_turn_and_at_least_one(start):
    worker = start("Metered")
    worker.begin([[graph()], [graph(), graph()], [graph()]], first=1, seconds=0.2)
    runs = worker.wait()
    assert [run.lot for run in runs] == [(1 + n) % 3 for n in range(len(runs))]
    assert 1 < len(runs) <= 8, "these eight take 20 ms for each of their 11 graphs"
    worker.begin(first=2)
    assert [run.lot for run in worker.wait()] == [2]


def test_the_first_error_of_a_lot_is_reported_with_its_class(start):
    worker = start("Trouble")
    assert isinstance(worker.run([graph(), graph(2), graph(1)]).error, InvalidInput)
    error = worker.run([graph(1)]).error
    assert isinstance(error, PipelineError)
    assert str(error) == "Trouble.prepare() raised KeyError: 'prepare'"


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        ("Picky(1, 2)", InvalidInput, "1 is no 2"),
        ("MissingExtra('a', 'b')", PipelineError, r'b is needed .*; run: pip install .*\[a\]"'),
    ],
)
def test_an_error_that_cannot_be_pickled_arrives(tmp_path, raised, kind, message):
    path = tmp_path / "model.py"
    path.write_text(
        "import naiad\n"
        "from naiad.errors import InvalidInput, MissingExtra\n"
        "class Picky(InvalidInput):\n"
        "    def __init__(self, one, two):\n"
        "        super().__init__(f'{one} is no {two}')\n"
        "class Model(naiad.Pipeline):\n"
        "    arrays = 'numpy'\n"
        "    inputs = outputs = {'x': naiad.Tensor('float32', ('rows',))}\n"
        "    def forward(self, batch):\n"
        f"        raise {raised}\n"
    )
    request = Request({"x": np.zeros(1, np.float32)}, {"rows": 1, "requests": 1})
    with closing(Worker(Spec(f"{path}:Model"))) as worker:
        worker.ready()
        error = worker.run([request]).error
    assert type(error) is kind
    assert re.fullmatch(message, str(error))


def test_a_model_that_cannot_be_loaded_says_why():
    with (
        closing(Worker(Spec(f"{DEGREE}:Broken"))) as worker,
        pytest.raises(PipelineError, match=r"setup\(\) raised RuntimeError: no weights today"),
    ):
        worker.ready()


def test_a_worker_that_dies_is_reported(start):
    worker = start("Trouble")
    with pytest.raises(PipelineError, match="measured, the worker process ended by signal 9"):
        worker.run([graph(3)])
    worker = start("Degree")
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(PipelineError, match="measured, the worker process ended by signal 9"):
        worker.run([graph()])


def test_a_worker_that_hangs_is_killed(start):
    worker = start("Trouble", watchdog=0.5)
    with pytest.raises(PipelineError, match=r"did not answer within 0\.5 s and was killed"):
        worker.run([graph(4)])
    assert worker.close() == -signal.SIGKILL
    assert not psutil.pid_exists(worker.pid)


def test_closing_ends_the_process_and_leaves_nothing(start):
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    worker = start("Degree")
    assert worker.close() == 0
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert not psutil.pid_exists(worker.pid)


def test_a_worker_computes_in_the_environment_of_one_that_serves(start, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = psutil.Process(start("Degree").pid).environ()
    assert found["OMP_NUM_THREADS"] == "3", "the user's own comes first"
    expected = numeric_environment(1) | {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "1"}
    assert expected.items() <= found.items()


def test_a_worker_ends_when_its_parent_is_killed():
    script = (
        "import time\n"
        "from naiad.runtime.spec import Spec\n"
        "from naiad.tune.worker import Worker\n"
        f"worker = Worker(Spec({DEGREE!r} + ':Degree'))\n"
        "worker.ready()\n"
        "print(worker.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + 5
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
