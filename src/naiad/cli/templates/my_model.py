"""MyModel: a label for every node of a graph, and a score for the graph as a whole.

Serve it:  naiad serve my_model.py:MyModel
Call it:   naiad.Client().infer("my_model", x=x, edge_index=edge_index)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import naiad
import numpy as np
import torch
from naiad import Tensor
from numpy.typing import NDArray
from torch import nn

FEATURES, LABELS = 8, 3


class MyModel(naiad.Pipeline):
    """Two rounds of message passing. Replace network, tensors and hooks by your own."""

    # The model's name on the server.
    name = "my_model"

    # What a client sends. Dimensions have names: tensors that share one must agree on its size, and
    # index_into says that the values are positions in it. A request that breaks this is refused
    # with a message that says where; the hooks below never see it.
    inputs = {
        "x": Tensor("float32", ("nodes", FEATURES), doc="node features"),
        "edge_index": Tensor(
            "int64", (2, "edges"), index_into="nodes", doc="source and target of each edge"
        ),
    }

    # What forward() returns. The name of the first dimension says whose row each row is:
    # "requests" has one row per request.
    result = {
        "logits": Tensor("float32", ("nodes", LABELS)),
        "score": Tensor("float32", ("requests",)),
    }

    # What a client gets: what finish() makes of one request's share of the result.
    outputs = {**result, "label": Tensor("int64", ("nodes",), doc="the most likely label")}

    # How much one forward() may take: requests are merged up to here. Measure yours.
    budget = naiad.Budget(nodes=50_000, edges=500_000)

    def setup(self, device: str) -> None:
        """Load the weights onto ``device``; called once in each worker process."""
        torch.manual_seed(0)
        self.network = Network()
        # `naiad serve my_model.py:MyModel --weights my_model.pt` sets this; made by
        # torch.save(network.state_dict(), "my_model.pt").
        if self.weights_path is not None:
            state = torch.load(self.weights_path, map_location=device, weights_only=True)
            self.network.load_state_dict(state)
        self.network.to(device).eval()

    def prepare(self, request: naiad.Request) -> Mapping[str, NDArray[Any]]:
        """One request's arrays to one graph; in a worker process, as all hooks.

        Here: every edge is followed both ways. What it returns has the tensors of ``inputs``; a
        pipeline whose graph has others declares them as ``sample``.
        """
        edges = request["edge_index"]
        return {"x": request["x"], "edge_index": np.concatenate([edges, edges[::-1]], axis=1)}

    def forward(self, batch: naiad.Batch) -> Mapping[str, torch.Tensor]:
        """All graphs of a batch, merged into one with its parts unconnected; no gradients here."""
        graph = batch.index("nodes")  # the request that each node belongs to
        logits, score = self.network(batch["x"], batch["edge_index"], graph, batch.requests)
        return {"logits": logits, "score": score}

    def finish(self, result: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """One request's share of the result to what its client gets."""
        return {**result, "label": result["logits"].argmax(axis=1)}

    def example(self) -> Mapping[str, NDArray[Any]]:
        """A request to try the model with: Naiad runs it to see that the model works.

        Here: twelve nodes in a ring.
        """
        nodes = np.arange(12)
        x = np.random.default_rng(0).normal(size=(12, FEATURES)).astype(np.float32)
        return {"x": x, "edge_index": np.stack([nodes, np.roll(nodes, -1)])}


class Network(nn.Module):
    """GraphSAGE with mean aggregation (Hamilton, Ying and Leskovec, arXiv:1706.02216)."""

    def __init__(self, width: int = 32) -> None:
        """Two layers of ``width`` channels, one head per output."""
        super().__init__()
        sizes = [2 * FEATURES, 2 * width]
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.label_head = nn.Linear(width, LABELS)
        self.score_head = nn.Linear(width, 1)

    def forward(
        self, x: torch.Tensor, edge_index: torch.Tensor, graph: torch.Tensor, graphs: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits ``[nodes, labels]`` and scores ``[graphs]``."""
        source, target = edge_index
        for layer in self.layers:
            neighbours = mean_by(x[source], target, len(x))
            x = torch.relu(layer(torch.cat([x, neighbours], dim=1)))
        score = torch.sigmoid(self.score_head(mean_by(x, graph, graphs)))
        return self.label_head(x), score.squeeze(1)


def mean_by(values: torch.Tensor, group: torch.Tensor, groups: int) -> torch.Tensor:
    """Mean of the rows of each group, ``[groups, channels]``; zero for a group without rows."""
    total = values.new_zeros(groups, values.shape[1]).index_add_(0, group, values)
    count = torch.bincount(group, minlength=groups).clamp(min=1)
    return total / count.unsqueeze(1)
