# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
"""A user's annotated pipeline, in which the checker finds nothing.

Each `pyright: ignore` marks a mistake that the checker must find.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from naiad import Batch, Budget, Pipeline, Request, Tensor


class Degree(Pipeline):
    inputs = {
        "x": Tensor("float32", ("nodes", 8)),
        "edge_index": Tensor("int64", (2, "edges"), index_into="nodes"),
    }
    outputs = {"degree": Tensor("int64", ("nodes",))}
    budget = Budget(nodes=50_000, edges=500_000)

    def prepare(self, request: Request) -> Mapping[str, NDArray[Any]]:
        return {"x": request["x"], "edge_index": request["edge_index"]}

    def forward(self, batch: Batch) -> Mapping[str, torch.Tensor]:
        target = batch["edge_index"][1]
        return {"degree": torch.bincount(target, minlength=batch.total("nodes"))}

    def finish(self, result: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        return {"degree": result["degree"]}


class Wrong(Pipeline):
    inputs = {"x": "float32"}  # pyright: ignore[reportAssignmentType]
    outputs = {"y": Tensor(32, ("nodes",))}  # pyright: ignore[reportArgumentType]
    budget = Budget(nodes="many")  # pyright: ignore[reportArgumentType]

    def finish(self, result: int) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return result
