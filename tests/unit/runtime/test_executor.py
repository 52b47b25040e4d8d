import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from naiad.errors import PipelineError
from naiad.pipeline import Request
from naiad.runtime import shared
from naiad.runtime.executor import ProcessExecutor, ThreadExecutor, WorkerLost
from naiad.runtime.spec import Spec


@pytest.fixture(params=[ThreadExecutor, ProcessExecutor])
def executor_kind(request):
    return request.param


@pytest.fixture
def worker(pipelines):
    executor = ProcessExecutor(Spec(f"{pipelines}:Trouble"), watchdog=2.0)
    executor.start()
    yield executor
    executor.close()


def test_both_executors_answer_alike(executor_kind, pipelines, make_request):
    executor = executor_kind(Spec(f"{pipelines}:Trouble"))
    executor.start()
    try:
        report = executor.run([make_request(4, 7, seed=1), make_request(2, 1), make_request(0)])
        good, bad, empty = report.outcomes
        np.testing.assert_array_equal(good["total"], [7])
        assert isinstance(bad, PipelineError)
        assert empty["degree"].shape == (0,)
        assert report.batches == [{"requests": 2, "nodes": 4, "edges": 4}]
    finally:
        executor.close()


def test_torch_tensors_give_the_same_in_a_worker_of_one_thread(pipelines, make_request):
    requests = [make_request(4, 7, seed=1), make_request(0), make_request(5, 2, seed=3)]
    answers = []
    for name in ("Degree", "TorchDegree"):
        executor = ProcessExecutor(Spec(f"{pipelines}:{name}"))
        executor.start()
        answers.append(
            [(o["degree"].tolist(), float(o["total"][0])) for o in executor.run(requests).outcomes]
        )
        executor.close()
    assert answers[0] == answers[1]


def test_a_model_that_cannot_be_loaded_says_why(executor_kind, pipelines):
    executor = executor_kind(Spec(f"{pipelines}:Broken"))
    with pytest.raises(Exception, match="no weights today"):
        executor.start()
    executor.close()


def test_a_worker_that_is_killed_is_noticed_and_can_be_started_again(worker, make_request):
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerLost, match="ended by signal 9"):
        worker.run([make_request()])
    worker.close()
    worker.start()
    assert worker.run([make_request(3, 7)]).outcomes[0]["total"] == [7]


def test_a_worker_that_hangs_is_killed(worker, make_request):
    pid = worker.pid
    with pytest.raises(WorkerLost, match="did not answer within 2 s"):
        worker.run([make_request(3, 4)])
    worker.close()
    assert not psutil.pid_exists(pid)


def test_closing_ends_the_process_and_leaves_nothing(pipelines, make_request):
    executor = ProcessExecutor(Spec(f"{pipelines}:Degree"))
    executor.start()
    executor.run([make_request()])
    pid = executor.pid
    assert "/dev/shm" not in Path(f"/proc/{pid}/maps").read_text()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    executor.close()
    assert len(list(Path("/proc/self/fd").iterdir())) < descriptors
    assert not psutil.pid_exists(pid)


def test_a_worker_ends_when_its_parent_is_killed(pipelines, tmp_path):
    import subprocess
    import sys

    script = tmp_path / "parent.py"
    script.write_text(
        "import time\n"
        "from naiad.runtime.executor import ProcessExecutor\n"
        "from naiad.runtime.spec import Spec\n"
        f"e = ProcessExecutor(Spec({str(pipelines)!r} + ':Degree'))\n"
        "e.start()\n"
        "print(e.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def where(pipelines):
    executor = ProcessExecutor(Spec(f"{pipelines}:Where"))
    executor.start()
    yield executor
    executor.close()


def test_an_input_is_copied_once_on_its_way_to_the_hooks(where, monkeypatch):
    copied = []
    copy_in = shared._copy_in
    monkeypatch.setattr(
        shared, "_copy_in", lambda *given: (copied.append(given[2].nbytes), copy_in(*given))
    )
    requests = [
        Request({"x": np.full(size, size, np.float32)}, {"n": size, "requests": 1})
        for size in (3, 1_250_000, 40_000)
    ]
    report = where.run(requests)
    assert copied == [request["x"].nbytes for request in requests]
    for request, outcome in zip(requests, report.outcomes, strict=True):
        assert outcome["shared"].all()
        np.testing.assert_array_equal(outcome["x"], request["x"])


def test_what_a_giant_request_needed_is_given_back(where):
    def occupied() -> list[int]:
        return [512 * os.fstat(arena.fd).st_blocks for arena in (where._inbox, where._outbox)]

    x = np.ones(40_000_000, np.float32)
    (outcome,) = where.run([Request({"x": x}, {"n": x.size, "requests": 1})]).outcomes
    inbox, outbox = occupied()
    assert inbox <= 64 << 20  # the worker is done with it
    assert outbox >= outcome["x"].nbytes  # we are not
    del outcome
    where.run([Request({"x": x[:10]}, {"n": 10, "requests": 1})])
    assert max(occupied()) <= 64 << 20
