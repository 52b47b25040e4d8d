"""Fit of a cost model to measured batches, by non-negative least squares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from naiad.core.cost_model import Cost, Knee
from naiad.core.schema import REQUESTS
from naiad.errors import MissingExtra

try:
    from scipy.optimize import nnls
except ModuleNotFoundError:
    raise MissingExtra("tune", "scipy") from None

_WORTH = 0.75  # a knee must leave at most this share of the squared errors
_EXACT = 1e-6  # relative errors below a clock's resolution; a knee for them would be chance


@dataclass(frozen=True, slots=True)
class Fit:
    """A cost model and its quality.

    Attributes:
        cost: the model.
        r_squared: share of the variance of the seconds that it explains.
        median_error: median relative error of a batch.
    """

    cost: Cost
    r_squared: float
    median_error: float


def fit(batches: Iterable[tuple[Mapping[str, int], float]]) -> Fit:
    """Fit seconds to sizes, minimizing relative errors.

    One dimension may cost more beyond some size (a :class:`~naiad.core.cost_model.Knee`), if that
    clearly reduces the errors.

    Args:
        batches: sizes by dimension, and measured seconds.
    """
    rows = list(batches)
    seconds = np.array([measured for _, measured in rows])
    dims = [REQUESTS, *sorted({dim for sizes, _ in rows for dim in sizes} - {REQUESTS})]
    sizes = np.array([[float(row.get(dim, 0)) for dim in dims] for row, _ in rows])
    plain = np.column_stack([np.ones(len(rows)), sizes])
    best, residual = _solve(plain, seconds)
    knee: Knee | None = None
    least = _WORTH * residual**2
    for place, dim in enumerate(dims):
        for at in np.unique(np.quantile(sizes[:, place], np.linspace(0.2, 0.9, 8))):
            if residual < _EXACT or at <= sizes[:, place].min():
                continue  # nothing is left to explain, or all batches are beyond the knee
            beyond = np.maximum(0.0, sizes[:, place] - at)
            found, left = _solve(np.column_stack([plain, beyond]), seconds)
            if found[-1] > 0 and left**2 < least:
                best, least = found, left**2
                knee = Knee(dim, float(at), float(found[-1]))
    slopes = dict(zip(dims, map(float, best[1 : len(dims) + 1]), strict=True))
    cost = Cost(float(best[0]), slopes, knee)
    predicted = np.array([cost.seconds(row) for row, _ in rows])
    spread = float(((seconds - seconds.mean()) ** 2).sum())
    error = float(((seconds - predicted) ** 2).sum())
    return Fit(
        cost,
        r_squared=1.0 - error / spread if spread else 1.0,
        median_error=float(np.median(np.abs(predicted / seconds - 1.0))),
    )


def _solve(columns: Any, seconds: Any) -> tuple[Sequence[float], float]:
    """Return coefficients and the root of the summed squares of relative errors."""
    weighted = columns / seconds[:, None]
    # Columns differ by orders of magnitude (one batch, 10,000 edges); the solver has a tolerance.
    scale = np.maximum(np.linalg.norm(weighted, axis=0), 1e-300)
    found, residual = nnls(weighted / scale, np.ones(len(seconds)))
    return found / scale, float(residual)
