"""From measurements to a recommendation: which batch is large enough, which team is best."""

from __future__ import annotations

import math
from collections.abc import Sequence

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.core.schema import REQUESTS
from naiad.tune.sweep import Candidate
from naiad.tune.teams import Team

_ENOUGH = 0.95  # of the best throughput: what larger batches add is less than they cost in latency
_ALIKE = 0.95  # of the best throughput: teams within this are told apart by what they take up


def best_candidate(candidates: Sequence[Candidate], latency_target: float | None) -> Candidate:
    """The smallest batch beyond which throughput hardly gains, or loses.

    With a target, among those of which a batch takes at most half of it: a request may have to
    wait for one batch before its own.
    """
    fast = [c for c in candidates if c.batch_seconds <= (latency_target or math.inf) / 2]
    among = fast or list(candidates[:1])
    most = max(candidate.throughput for candidate in among)
    return next(c for c in among if c.throughput >= _ENOUGH * most)


def recommended_budget(candidate: Candidate, cost: Cost, declared: Budget) -> Budget:
    """The candidate's budget; what was not measured is as the pipeline declares it.

    Requests are bounded at as many as cost, without any rows, what the batch does: else nothing
    would bound a batch of empty ones.
    """
    if candidate.batch == 1:
        return Budget(**{**declared, REQUESTS: 1})
    sizes = {**declared, **candidate.budget}
    sizes.pop(REQUESTS, None)
    if REQUESTS in candidate.budget:
        return Budget(**sizes, **{REQUESTS: candidate.budget[REQUESTS]})
    if per_request := cost.per.get(REQUESTS, 0.0):
        bound = math.ceil(candidate.batch_seconds / per_request)
        sizes[REQUESTS] = max(bound, 2 * candidate.batch)
    return Budget(**sizes)


def best_team(teams: Sequence[Team]) -> Team:
    """The team with the highest throughput; of equals the one with fewest threads in all.

    Of those again the one with fewest per worker: threads that wait for each other suffer most
    where anything else runs.
    """
    most = max(team.throughput for team in teams)
    alike = [team for team in teams if team.throughput >= _ALIKE * most]
    return min(alike, key=lambda team: (team.instances * team.threads, team.threads))
