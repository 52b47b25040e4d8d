from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naiad.core.pipeline import Request
from naiad.core.schema import validate

PIPELINES = Path(__file__).with_name("degree.py")


@pytest.fixture(scope="session")
def pipelines() -> Path:
    return PIPELINES


@pytest.fixture(scope="session")
def make_request():
    """Make a Degree request of ``nodes`` nodes whose first feature is ``code``."""
    from naiad.core.pipeline import load_pipeline

    kind = load_pipeline(f"{PIPELINES}:Degree")

    def make(nodes: int = 3, code: float = 0, seed: int = 0, edges: int = 4) -> Request:
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 5, (nodes, 2)).astype(np.float32) * 0
        if nodes:
            x[0, 0] = code
        arrays = {
            "x": x,
            "edge_index": rng.integers(0, max(nodes, 1), (2, edges if nodes else 0)),
        }
        return Request(arrays, validate(kind.inputs, arrays), id=f"r{seed}")

    return make
