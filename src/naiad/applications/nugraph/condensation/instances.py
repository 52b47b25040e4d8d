"""Particles from condensation coordinates: DBSCAN, as the original calls it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from naiad.core.schema import Arrays
from naiad.errors import MissingExtra

try:
    from scipy.spatial import KDTree
    from scipy.spatial.distance import cdist
except ImportError as error:
    raise MissingExtra("nugraph3", "scipy") from error

EPS: Final = 0.3
"""Largest distance between neighbours."""

MIN_SAMPLES: Final = 15
"""Number of neighbours, itself included, that make a hit a core point of a particle."""

SIGNAL_THRESHOLD: Final = 0.5
"""Filter probability above which a hit may belong to a particle."""

DIFFUSE: Final = 6
"""Semantic class whose hits belong to no particle: diffuse, if there are seven classes."""

NONE: Final = -1
"""Label of a hit that belongs to no particle."""

_BLOCK: Final = 1 << 20
"""Distances computed together."""


def particles(found: Arrays) -> NDArray[np.int32]:
    """Return the particle of each hit of one event, ``[hits]``; -1 for none.

    Args:
        found: ``ox`` float32 ``[hits, C]``, and if the network has these heads ``x_filter``
            ``[hits]`` (probability) and ``x_semantic`` ``[hits, S]`` (scores). Only hits that the
            filter keeps, and that are not diffuse, belong to particles.
    """
    place = found["ox"]
    chosen = np.isfinite(place).all(axis=1)
    if "x_filter" in found:
        chosen &= found["x_filter"] > SIGNAL_THRESHOLD
    if "x_semantic" in found:
        chosen &= found["x_semantic"].argmax(axis=1) != DIFFUSE
    labels = np.full(len(place), NONE, np.int32)
    labels[chosen] = dbscan(place[chosen])
    return labels


def dbscan(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return the cluster of each point ``[points, C]``; -1 for none.

    A core point has `MIN_SAMPLES` points within `EPS`; core points that near are of one cluster.
    Clusters are numbered in the order of their first core point; another point goes to the first
    cluster with a core point near it. Labels are those of scikit-learn's ``DBSCAN``. That one holds
    all pairs of neighbours, 20 GB for 50,000 hits at one place, which anyone may send; here memory
    is linear in the number of points, however close together they are.
    """
    labels = np.full(len(points), NONE, np.int32)
    if len(points) < MIN_SAMPLES:
        return labels
    places = points.astype(np.float64)
    # Counting all neighbours would take minutes where 50,000 hits are at one place.
    nearest, _ = KDTree(places).query(places, k=MIN_SAMPLES, distance_upper_bound=1.01 * EPS)
    is_core = np.asarray(nearest)[:, -1] <= EPS
    left = np.arange(len(points))  # without a label yet
    number = 0
    for first in np.flatnonzero(is_core):
        if labels[first] != NONE:
            continue
        labels[first] = number
        left = left[left != first]
        border = np.array([first])
        while len(border) and len(left):
            block = max(1, _BLOCK // len(left))
            block, border = border[:block], border[block:]
            reached = (cdist(places[block], places[left], "sqeuclidean") <= EPS**2).any(axis=0)
            new, left = left[reached], left[~reached]
            labels[new] = number
            border = np.concatenate((border, new[is_core[new]]))
        number += 1
    return labels
