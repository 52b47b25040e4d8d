"""Recommendation of a batch size and a team of workers from measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence

from naiad.core.budget import Budget
from naiad.core.cost_model import Cost
from naiad.core.schema import REQUESTS
from naiad.tune.sweep import Candidate
from naiad.tune.teams import Team

_ENOUGH = 0.95  # of the best throughput: larger batches cost more in latency than they gain
_ALIKE = 0.95  # of the best throughput: among teams within this, the smallest is best


def best_candidate(candidates: Sequence[Candidate], latency_target: float | None) -> Candidate:
    """Return the smallest batch beyond which throughput hardly grows.

    With a target, batches may take at most half of it: a request may have to wait for one batch
    before its own.
    """
    fast = [c for c in candidates if c.batch_seconds <= (latency_target or math.inf) / 2]
    among = fast or list(candidates[:1])
    most = max(candidate.throughput for candidate in among)
    return next(c for c in among if c.throughput >= _ENOUGH * most)


def recommended_budget(candidate: Candidate, cost: Cost, declared: Budget) -> Budget:
    """Return the candidate's budget, with declared sizes for dimensions not measured.

    Requests are bounded, too, so that a batch of empty ones costs no more than the candidate's:
    otherwise nothing would bound it.
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
    """Return the team with the highest throughput; of equals, the one with fewest threads.

    Of those, return the one with fewest threads per worker: threads that wait for each other suffer
    most from other programs.
    """
    most = max(team.throughput for team in teams)
    alike = [team for team in teams if team.throughput >= _ALIKE * most]
    return min(alike, key=lambda team: (team.instances * team.threads, team.threads))
