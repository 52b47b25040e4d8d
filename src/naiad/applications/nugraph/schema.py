"""The schemas of the NuGraph networks: inputs, prepared sample and outputs.

The wire names and types are those of the public NuGraph-on-Triton deployments, so their clients
work unchanged. Hits are the rows of pynuml's ``hit_table``, spacepoints those of
``spacepoint_table``.
"""

from __future__ import annotations

from typing import Final

from naiad.applications.nugraph.heads import NUGRAPH2_HEADS, output_tensors
from naiad.core.schema import Tensor

PLANES: Final = ("u", "v", "y")
"""Names of the three wire planes, in the order of ``hit_table_local_plane``."""

MAX_INTEGRAL: Final = 1e6
"""Largest charge of a hit, in ADC counts; a larger one is a read-out fault, not physics."""

POSITION_SCALE: Final = (0.3, 0.055)
"""Factors of wire and time (ticks): cm per wire and, nearly, per tick of drift."""

# Far beyond any read-out window, and small enough for the network not to overflow float32.
_MAX_TICKS: Final = 1e6

NUM_FEATURES: Final = 4
"""Of a hit: wire, time, integral, rms."""
NUM_EVENT_CLASSES: Final = 4
NUM_SEMANTIC_CLASSES: Final = 7
NUGRAPH2_SEMANTIC_CLASSES: Final = 5

_SPACEPOINT_HIT = {
    f"spacepoint_table_hit_id_{plane}": Tensor(
        "int32",
        ("spacepoints",),
        minimum=-1,
        doc=f"hit_id of the spacepoint's hit on plane {plane}; -1 for no hit",
    )
    for plane in PLANES
}

INPUTS: Final = {
    "hit_table_hit_id": Tensor(
        "int32", ("hits",), minimum=0, unique=True, doc="name of the hit within its event"
    ),
    "hit_table_local_plane": Tensor(
        "int32", ("hits",), categories=dict(enumerate(PLANES)), doc="wire plane of the hit"
    ),
    "hit_table_local_time": Tensor(
        "float32",
        ("hits",),
        minimum=-_MAX_TICKS,
        maximum=_MAX_TICKS,
        unit="tick",
        doc="drift time of the hit's peak",
    ),
    "hit_table_local_wire": Tensor(
        "int32", ("hits",), unit="wire", doc="number of the wire within its plane"
    ),
    "hit_table_integral": Tensor(
        "float32", ("hits",), maximum=MAX_INTEGRAL, unit="ADC", doc="charge of the hit"
    ),
    "hit_table_rms": Tensor(
        "float32",
        ("hits",),
        minimum=-_MAX_TICKS,
        maximum=_MAX_TICKS,
        unit="tick",
        doc="width of the hit in time",
    ),
    "spacepoint_table_spacepoint_id": Tensor(
        "int32", ("spacepoints",), doc="name of the spacepoint; only the number of rows is used"
    ),
    **_SPACEPOINT_HIT,
}
"""One event: its hits on all planes and the spacepoints that match them across planes."""

SAMPLE: Final = {
    **{
        f"x_{plane}": Tensor(
            "float32",
            (f"hits_{plane}", 4),
            doc="wire and time in cm-like units, integral (ADC), rms (tick); not normalised",
        )
        for plane in PLANES
    },
    **{
        f"plane_edge_{plane}": Tensor(
            "int64",
            (2, f"plane_edges_{plane}"),
            index_into=f"hits_{plane}",
            doc="Delaunay edges, both directions; source and target hit, sorted by target, source",
        )
        for plane in PLANES
    },
    **{
        f"nexus_edge_{plane}": Tensor(
            "int64",
            (2, f"nexus_edges_{plane}"),
            index_into=(f"hits_{plane}", "spacepoints"),
            doc="hit and spacepoint, sorted by spacepoint, at most one per spacepoint",
        )
        for plane in PLANES
    },
    "sp_event": Tensor(
        "int64", ("spacepoints",), index_into="requests", doc="event of each spacepoint"
    ),
    "unknown_hits": Tensor(
        "int32", ("requests",), doc="spacepoint entries that name no hit of their plane"
    ),
}
"""One prepared event, a graph of hits (per plane), spacepoints and the event itself."""

UNKNOWN_HITS: Final = Tensor(
    "int32",
    ("requests",),
    doc="spacepoint entries that name no hit of their plane, which were left out",
)

OUTPUTS: Final = {
    **output_tensors(
        ("event", "semantic", "filter", "vertex"),
        PLANES,
        {"semantic": NUM_SEMANTIC_CLASSES, "event": NUM_EVENT_CLASSES},
    ),
    "unknown_hits": UNKNOWN_HITS,
}
"""NuGraph3's outputs for a merged batch, and a client's for one event."""

NUGRAPH2_OUTPUTS: Final = {
    **output_tensors(NUGRAPH2_HEADS, PLANES, {"semantic": NUGRAPH2_SEMANTIC_CLASSES}),
    "unknown_hits": UNKNOWN_HITS,
}
"""NuGraph2's outputs, likewise."""
