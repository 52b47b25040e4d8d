from __future__ import annotations

from contextlib import ExitStack, closing

import pytest

from naiad.core.budget import Budget
from naiad.core.pipeline import load_pipeline
from naiad.errors import PipelineError
from naiad.runtime.spec import Spec
from naiad.tune import teams
from naiad.tune.sweep import Candidate, Lot
from naiad.tune.teams import Team, measure_teams
from naiad.tune.worker import Worker
from naiad.tune.workload import find_workload, total_sizes

DEGREE = f"{__file__.rpartition('/tune/')[0]}/runtime/degree.py"


def requests(name):
    return find_workload(load_pipeline(f"{DEGREE}:{name}")(), None, seed=0).requests


def even(request):
    return request.sizes["nodes"] % 2 == 0


def metered(*counts):
    """Make lots of these numbers of requests, at 20 ms each."""
    found = requests("Metered")
    return [Lot(found[:count], total_sizes(found[:count]), [0.02 * count]) for count in counts]


@pytest.mark.parametrize("count", [1, 3])
def test_a_team_is_as_fast_as_its_workers_together_whatever_lots_they_get(count):
    lots = metered(1, 8, 1)
    with ExitStack() as stack:
        team = teams._start(stack, Spec(f"{DEGREE}:Metered", budget={}), lots, count)
        assert 0.6 * count < teams._speed(team, lots, seconds=0.4) <= 1.05 * count


@pytest.mark.slow
def test_all_teams_are_measured_in_real_processes(monkeypatch):
    monkeypatch.setattr(teams, "teams", lambda device: [Team(1, 1), Team(2, 1), Team(1, 2)])
    candidate = Candidate(2, Budget(requests=2), metered(2))
    found = measure_teams(Spec(f"{DEGREE}:Metered", budget={}), candidate, 2.0)
    assert [len(team.rates) for team in found] == [5, 5, 5]
    single, pair, _ = (team.throughput for team in found)
    assert 1.4 < pair / single < 2.6


def test_a_team_for_which_there_is_no_memory_is_left_out(monkeypatch):
    monkeypatch.setattr(teams, "teams", lambda device: [Team(1, 1), Team(3, 1), Team(2, 1)])
    monkeypatch.setattr(teams, "_affordable", lambda worker: 1)
    lots = [Lot(tuple(filter(even, requests("Picky")))[:2], {}, [0.001])]
    candidate = Candidate(2, Budget(requests=2), lots)
    found = measure_teams(Spec(f"{DEGREE}:Picky", budget={}), candidate, 0.2)
    assert [(team.instances, team.threads) for team in found] == [(1, 1), (2, 1)]


def test_an_error_of_one_worker_is_reported():
    odd = next(request for request in requests("Picky") if not even(request))
    with closing(Worker(Spec(f"{DEGREE}:Picky", budget={}))) as worker:
        worker.ready()
        worker.begin([[odd]])
        worker.wait()
        with pytest.raises(PipelineError, match="fails in a batch: an odd number of nodes"):
            teams._speed([worker], [Lot((odd,), {}, [0.001])], seconds=0.0)
