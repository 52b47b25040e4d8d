import os

import pytest

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.tune.recommend import best_candidate, best_team, recommended_budget
from naiad.tune.sweep import Candidate, Lot
from naiad.tune.teams import Team, teams


def tried(*throughputs):
    """Make candidates of 1, 2, 4, ... requests of 10 nodes with these throughputs."""
    return [
        Candidate(
            batch := 2**n,
            Budget(nodes=10 * batch),
            [Lot((None,) * batch, {"requests": batch, "nodes": 10 * batch}, [batch / throughput])],
        )
        for n, throughput in enumerate(throughputs)
    ]


@pytest.mark.parametrize(
    ("throughputs", "batch"),
    [
        ((10, 18, 30, 40, 41, 41.5), 8),
        ((10, 20, 12), 2),
        ((10, 10, 10), 1),
        ((1, 2, 4, 8), 8),
    ],
)
def test_the_smallest_batch_that_hardly_gains_is_recommended(throughputs, batch):
    assert best_candidate(tried(*throughputs), None).batch == batch


def test_a_latency_target_leaves_room_for_the_batch_before():
    candidates = tried(100, 200, 400, 800)  # of 10 ms each
    assert best_candidate(candidates, 0.021).batch == 8
    candidates = tried(10, 11, 12, 13)  # of 100, 180, 330 and 620 ms
    assert best_candidate(candidates, 0.4).batch == 2
    assert best_candidate(candidates, 0.01).batch == 1, "where nothing is fast enough"


def test_the_budget_is_that_of_the_batch_and_bounds_empty_requests():
    best = tried(10, 20, 40)[2]  # 100 ms
    cost = Cost(0.01, {"requests": 0.001, "nodes": 0.002})
    budget = recommended_budget(best, cost, Budget(nodes=7, tiles=5))
    assert dict(budget) == {"nodes": 40, "tiles": 5, "requests": 100}
    assert dict(recommended_budget(best, Cost(), Budget())) == {"nodes": 40}


def test_where_batches_lose_requests_run_one_by_one():
    best = tried(10)[0]
    assert dict(recommended_budget(best, Cost(), Budget(nodes=99))) == {"nodes": 99, "requests": 1}


def test_of_nearly_equal_teams_the_smaller_is_chosen():
    made = [Team(1, 1, [50.0]), Team(2, 1, [98.0]), Team(1, 2, [97.0]), Team(4, 1, [100.0])]
    assert best_team(made) is made[1]
    made[3].rates = [150.0]
    assert best_team(made) is made[3]


@pytest.mark.parametrize(
    ("cores", "pairs"),
    [
        (1, [(1, 1)]),
        (2, [(1, 1), (1, 2), (2, 1)]),
        (6, [(1, 1), (1, 4), (2, 1), (3, 2), (4, 1), (6, 1)]),
        (
            16,
            [(1, 1), (2, 1), (2, 8), (4, 1), (4, 4), (8, 1), (8, 2), (16, 1)],
        ),
    ],
)
def test_teams_use_no_more_threads_than_there_are_cores(monkeypatch, cores, pairs):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(cores))
    found = [(team.instances, team.threads) for team in teams("cpu")]
    assert found == pairs
    assert all(instances * threads <= cores for instances, threads in found)
