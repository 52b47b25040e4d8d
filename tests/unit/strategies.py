"""Random schemas and requests for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from naiad.core.schema import Tensor

# A heterogeneous graph: two node types, edges within and between them, a graph-level label.
GRAPH = {
    "x_hit": Tensor("float32", ("hits", 3)),
    "x_sp": Tensor("float64", ("spacepoints",)),
    "plane_edge": Tensor("int64", (2, "plane_edges"), index_into="hits"),
    "nexus_edge": Tensor("int32", (2, "nexus_edges"), index_into=("hits", "spacepoints")),
    "parent": Tensor("int64", ("hits",), index_into="spacepoints"),
    "sp_event": Tensor("int64", ("spacepoints",), index_into="requests"),
    "tag": Tensor("bytes", ("hits",)),
    "label": Tensor("float32", ("requests", 4)),
    "scalar": Tensor("float32", (1,)),
    "fixed": Tensor("uint8", (2, 2)),
}


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Draw one request of :data:`GRAPH`; any node or edge type may be empty."""
    hits = draw(st.integers(0, 6))
    spacepoints = draw(st.integers(0 if hits == 0 else 1, 4))
    plane = draw(st.integers(0, 8)) if hits else 0
    nexus = draw(st.integers(0, 8)) if hits and spacepoints else 0
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tags = np.array([rng.bytes(int(n)) for n in rng.integers(0, 4, hits)], dtype=object)
    return {
        "x_hit": rng.random((hits, 3), np.float32),
        "x_sp": rng.random(spacepoints),
        "plane_edge": rng.integers(0, max(hits, 1), (2, plane)),
        "nexus_edge": np.stack(
            [
                rng.integers(0, max(hits, 1), nexus),
                rng.integers(0, max(spacepoints, 1), nexus),
            ]
        ).astype(np.int32),
        "parent": rng.integers(0, max(spacepoints, 1), hits),
        "sp_event": np.zeros(spacepoints, np.int64),
        "tag": tags,
        "label": rng.random((1, 4), np.float32),
        "scalar": np.asarray([rng.random()], np.float32),
        "fixed": rng.integers(0, 255, (2, 2), np.uint8),
    }
