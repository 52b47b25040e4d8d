"""Pipelines with every kind of tensor, and hooks that follow the requests."""

from __future__ import annotations

from typing import Any

import numpy as np
from tests.unit.strategies import GRAPH

from naiad import Budget, Pipeline, Tensor


class Everything(Pipeline):
    """Tensors of all kinds, merged in Python."""

    inputs = {
        **GRAPH,
        "more": Tensor("int32", ("hits",), optional=True, default=7),
        "near": Tensor("int64", ("hits", 2), optional=True, index_into="hits"),
        "small": Tensor("uint8", ("hits",), index_into="spacepoints", optional=True),
        "key": Tensor("int64", ("keys",), unique=True, counts="letters", optional=True),
        "table": Tensor("float32", ("hits", "columns"), optional=True),
    }
    sample = {name: tensor for name, tensor in inputs.items() if name != "small"}
    outputs = {"label": GRAPH["label"], "tag": GRAPH["tag"], "x_hit": GRAPH["x_hit"]}
    result = outputs
    arrays = "numpy"
    budget = Budget(hits=10, requests=4)
    limit = Budget(spacepoints=9, letters=50)
    waiting = Budget(plane_edges=30)

    def prepare(self, request: Any) -> dict[str, Any]:
        return {name: array for name, array in request.items() if name != "small"}

    def forward(self, batch: Any) -> dict[str, Any]:
        return {name: batch[name] for name in self.outputs}


class Merged(Pipeline):
    """Graphs that the native backend merges, with variable and fixed columns of indices."""

    inputs = {
        **{name: GRAPH[name] for name in ("x_hit", "x_sp", "plane_edge", "nexus_edge", "fixed")},
        **{name: GRAPH[name] for name in ("parent", "sp_event", "label", "scalar")},
        "pair": Tensor("int32", (2,), index_into=("hits", "spacepoints")),
        "one": Tensor("uint32", (1,), index_into="hits"),
        "near": Tensor("uint64", ("hits", 2), index_into="hits", counts="pairs"),
        "faces": Tensor("int32", (3, 2, "faces"), index_into=("hits", "hits", "spacepoints")),
        "words": Tensor("bytes", ("hits", 2), counts="letters"),
        "name": Tensor("bytes", (1,)),
    }
    outputs = {
        "hit": Tensor("float64", ("hits",)),
        "edge": Tensor("float32", (3, "plane_edges")),
        "label": Tensor("float32", ("requests", 4)),
        "scalar": Tensor("float32", (1,)),
    }
    arrays = "numpy"
    budget = Budget(hits=12, requests=4)
    limit = Budget(plane_edges=20, pairs=40)

    def forward(self, batch: Any) -> dict[str, Any]:
        hits, edges = batch.total("hits"), batch.total("plane_edges")
        return {
            "hit": np.arange(hits, dtype=np.float64),
            "edge": np.zeros((3, edges), np.float32),
            "label": batch["label"],
            "scalar": batch["scalar"],
        }


class Texts(Pipeline):
    """Texts, limited by their bytes."""

    inputs = {
        "text": Tensor("bytes", ("texts",), counts="letters"),
        "labels": Tensor("bytes", ("texts", 2), optional=True),
    }
    sample = {"text": inputs["text"]}
    outputs = {"text": Tensor("bytes", ("texts",)), "size": Tensor("int32", ("requests",))}
    arrays = "numpy"
    budget = Budget(texts=8)
    limit = Budget(letters=30, texts=6)

    def prepare(self, request: Any) -> dict[str, Any]:
        return {"text": request["text"]}

    def forward(self, batch: Any) -> dict[str, Any]:
        sizes = batch.sizes("texts").astype(np.int32)
        return {"text": batch["text"], "size": sizes}


class Images(Pipeline):
    """Rows with Triton's batch dimension."""

    arrays = "numpy"
    max_batch_size = 4
    inputs = {"x": Tensor("float32", ("rows", 2, 2, 3), layout="NHWC")}
    outputs = {
        "score": Tensor("float32", ("rows", 3)),
        "wide": Tensor("float32", ("rows", "width")),  # a dimension of no input
    }
    budget = Budget(rows=6)

    def forward(self, batch: Any) -> dict[str, Any]:
        wide = np.zeros((batch.total("rows"), 5), np.float32)
        return {"score": batch["x"].sum((1, 2)), "wide": wide}


ALL = (Everything, Merged, Texts, Images)
