from __future__ import annotations

import time

import pytest

from naiad.batching import Budget
from naiad.errors import PipelineError
from naiad.pipeline import load_pipeline
from naiad.runtime.messages import Spec
from naiad.runtime.runner import Report
from naiad.tune import workers
from naiad.tune.sweep import Candidate, Lot
from naiad.tune.workers import Team, measure_teams
from naiad.tune.workload import find_workload, total_sizes

DEGREE = f"{__file__.rpartition('/tune/')[0]}/runtime/degree.py"


class Sleeper:
    """Answers after as many seconds as its batch has requests, in hundredths."""

    def run(self, requests):
        time.sleep(0.01 * len(requests))
        return Report([{} for _ in requests])


def lots(*counts):
    return [Lot((None,) * count, {"requests": count}, [0.01 * count]) for count in counts]


def test_a_team_is_as_fast_as_its_workers_together_whatever_lots_they_get():
    for count in (1, 3):
        executors = [Sleeper() for _ in range(count)]
        speed = workers._speed(executors, lots(1, 8, 1), seconds=0.2)
        assert 0.6 * count < speed <= 1.05 * count


def test_all_teams_are_measured_in_real_processes(monkeypatch):
    monkeypatch.setattr(workers, "teams", lambda device: [Team(1, 1), Team(2, 1), Team(1, 2)])
    kind = load_pipeline(f"{DEGREE}:Metered")()  # sleeps, so that workers do not share a core
    requests = find_workload(kind, None, seed=0).requests[:2]
    lot = Lot(requests, total_sizes(requests), [0.04])
    candidate = Candidate(2, Budget(requests=2), [lot])
    found = measure_teams(Spec(f"{DEGREE}:Metered", budget={}), "process", candidate, 2.0)
    assert [len(team.rates) for team in found] == [5, 5, 5]
    single, pair, _ = (team.throughput for team in found)
    assert 1.4 < pair / single < 2.6


def test_a_team_for_which_there_is_no_memory_is_left_out(monkeypatch):
    monkeypatch.setattr(workers, "teams", lambda device: [Team(1, 1), Team(3, 1), Team(2, 1)])
    monkeypatch.setattr(workers, "_affordable", lambda executors: 1)
    kind = load_pipeline(f"{DEGREE}:Picky")()
    requests = [r for r in find_workload(kind, None, 0).requests if r.sizes["nodes"] % 2 == 0][:2]
    candidate = Candidate(2, Budget(requests=2), [Lot(tuple(requests), {}, [0.001])])
    found = measure_teams(Spec(f"{DEGREE}:Picky", budget={}), "process", candidate, 0.2)
    assert [(team.instances, team.threads) for team in found] == [(1, 1), (2, 1)]


def test_threads_of_one_process_are_not_compared(monkeypatch):
    monkeypatch.setattr(workers, "teams", lambda device: [Team(1, 1), Team(1, 2), Team(2, 1)])
    kind = load_pipeline(f"{DEGREE}:Degree")()
    requests = find_workload(kind, None, seed=0).requests[:2]
    candidate = Candidate(2, Budget(requests=2), [Lot(requests, {}, [0.001])])
    found = measure_teams(Spec(f"{DEGREE}:Degree", budget={}), "thread", candidate, 0.2)
    assert [(team.instances, team.threads) for team in found] == [(1, 1), (2, 1)]


def test_an_error_of_one_worker_is_told():
    class Failing(Sleeper):
        def run(self, requests):
            return Report([PipelineError("no") for _ in requests])

    with pytest.raises(PipelineError, match="fails in a batch: no"):
        workers._speed([Sleeper(), Failing()], lots(1, 1), seconds=0.1)
