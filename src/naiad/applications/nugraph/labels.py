"""Training labels of hits and events, from pynuml's truth tables.

The codes of ``particle_table/category`` are those of pynuml's standard labelling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SEMANTIC_CLASSES: Final = ("pion", "muon", "kaon", "hadron", "shower", "michel", "diffuse")
"""Classes of a hit, in the order of NuGraph3's outputs."""
NUGRAPH2_CLASSES: Final = ("MIP", "HIP", "shower", "michel", "diffuse")
"""Classes of a hit, in the order of NuGraph2's outputs; MIP and HIP are minimum and highly ionising
particles."""
NUGRAPH2_CLASS_OF: Final = (0, 0, 1, 1, 2, 3, 4)
"""NuGraph2's class of each of `SEMANTIC_CLASSES`."""
EVENT_CLASSES: Final = ("cc_nue", "cc_numu", "cc_nutau", "nc")
"""Classes of an event, in the order of the network's outputs."""
BACKGROUND: Final = -1
"""Label of a hit that no particle of the neutrino interaction made."""

CATEGORY: Final = {
    "pion": 0,
    "muon": 1,
    "kaon": 2,
    "hadron": 3,
    "shower": 4,
    "michel": 5,
    "diffuse": 7,
}
"""Category written for each class.

Event files come with two numberings: the older one has delta rays at 6 and diffuse at 7, the newer
one diffuse at 6 and particles that leave no hits at 7. Delta rays carry their parent's category,
so on hits both 6 and 7 mean diffuse.
"""

_CLASS_OF_CATEGORY: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 6}
_FLAVOURS: Final = {12: 0, 14: 1, 16: 2}
_NEUTRAL_CURRENT: Final = 3

Table = Mapping[str, NDArray[Any]]


def semantic_labels(hit_ids: NDArray[Any], particles: Table, edeps: Table) -> NDArray[np.int64]:
    """Return each hit's class, ``[hits]``: that of the particle which left most energy in it.

    `BACKGROUND` if no particle did, or one that is not in the particle table.
    """
    labels = np.full(len(hit_ids), BACKGROUND, np.int64)
    if len(edeps["hit_id"]) == 0 or len(particles["g4_id"]) == 0 or len(hit_ids) == 0:
        return labels
    # Of each hit, the last row in order of energy counts.
    order = np.lexsort((edeps["energy"], edeps["hit_id"]))
    hit, particle = edeps["hit_id"][order], edeps["g4_id"][order]
    last = np.append(hit[1:] != hit[:-1], True)
    hit, particle = hit[last], particle[last]
    row = _find(particles["g4_id"], particle)
    lookup = np.full(int(particles["category"].max()) + 2, BACKGROUND, np.int64)
    for category, number in _CLASS_OF_CATEGORY.items():
        if category < len(lookup):
            lookup[category] = number
    category = np.where(row >= 0, particles["category"][row], len(lookup) - 1)
    category = np.where(category >= 0, category, len(lookup) - 1)
    row = _find(hit, hit_ids)
    return np.where(row >= 0, lookup[category][row], BACKGROUND)


def as_classes(labels: NDArray[np.int64], class_of: Sequence[int]) -> NDArray[np.int64]:
    """Return the classes of hits in another scheme; `BACKGROUND` stays.

    Args:
        labels: indices into `SEMANTIC_CLASSES`.
        class_of: the new class of each of these.
    """
    return np.append(np.asarray(class_of, np.int64), BACKGROUND)[labels]


def event_label(event: Table) -> int:
    """Return the index into `EVENT_CLASSES` of the event's neutrino; -1 for another particle."""
    if not int(event["is_cc"][0]):
        return _NEUTRAL_CURRENT
    return _FLAVOURS.get(abs(int(event["nu_pdg"][0])), -1)


def vertex(event: Table) -> NDArray[np.float32]:
    """Return the neutrino vertex ``[3]`` in cm, as the detector sees it.

    It is ``nu_vtx_corr`` (distorted by space charge) if the file has it, else ``nu_vtx``.
    """
    column = event["nu_vtx_corr"] if "nu_vtx_corr" in event else event["nu_vtx"]
    return column[0].astype(np.float32)


def _find(names: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.int64]:
    """Return the row of each wanted name in ``names``; -1 if not found."""
    order = np.argsort(names, kind="stable")
    place = np.minimum(np.searchsorted(names[order], wanted), len(names) - 1)
    row = order[place]
    return np.where(names[row] == wanted, row, -1)
