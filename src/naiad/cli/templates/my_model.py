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
    """Two rounds of message passing. Replace the network, tensors and hooks with your own."""

    # The model's name on the server.
    name = "my_model"

    # Tensors that a client sends. Dimensions have names: tensors that share one must agree on its
    # size, and index_into declares that values are positions in it. A request that violates this is
    # refused, with a message that says where; the hooks below never see it.
    inputs = {
        "x": Tensor("float32", ("nodes", FEATURES), doc="node features"),
        "edge_index": Tensor(
            "int64", (2, "edges"), index_into="nodes", doc="source and target of each edge"
        ),
    }

    # Tensors that forward() returns. The name of the first dimension says what each row belongs to:
    # "requests" has one row per request.
    result = {
        "logits": Tensor("float32", ("nodes", LABELS)),
        "score": Tensor("float32", ("requests",)),
    }

    # Tensors that a client gets: finish() makes them from one request's share of the result.
    outputs = {**result, "label": Tensor("int64", ("nodes",), doc="the most likely label")}

    # Largest batch for one forward(): requests are merged up to these sizes. `naiad tune` measures
    # what suits your model.
    budget = naiad.Budget(nodes=50_000, edges=500_000)

    def setup(self, device: str) -> None:
        """Load the weights onto ``device``; called once in each worker process."""
        torch.manual_seed(0)
        self.network = Network()
        # Set by `naiad serve my_model.py:MyModel --weights my_model.pt`, a file written by
        # torch.save(network.state_dict(), "my_model.pt").
        if self.weights_path is not None:
            state = torch.load(self.weights_path, map_location=device, weights_only=True)
            self.network.load_state_dict(state)
        self.network.to(device).eval()

    def prepare(self, request: naiad.Request) -> Mapping[str, NDArray[Any]]:
        """Make the graph of one request; like all hooks, called in a worker process.

        This one adds the reverse of each edge. It returns the tensors of ``inputs``; declare others
        as ``sample``.
        """
        edges = request["edge_index"]
        return {"x": request["x"], "edge_index": np.concatenate([edges, edges[::-1]], axis=1)}

    def forward(self, batch: naiad.Batch) -> Mapping[str, torch.Tensor]:
        """Run the network on the graphs of a batch, merged into one; gradients are off."""
        graph = batch.index("nodes")  # the request that each node belongs to
        logits, score = self.network(batch["x"], batch["edge_index"], graph, batch.requests)
        return {"logits": logits, "score": score}

    def finish(self, result: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Make the answer to one request from its share of the result."""
        return {**result, "label": result["logits"].argmax(axis=1)}

    def example(self) -> Mapping[str, NDArray[Any]]:
        """Return a request with which Naiad checks that the model works: twelve nodes in a ring."""
        nodes = np.arange(12)
        x = np.random.default_rng(0).normal(size=(12, FEATURES)).astype(np.float32)
        return {"x": x, "edge_index": np.stack([nodes, np.roll(nodes, -1)])}


class Network(nn.Module):
    """GraphSAGE with mean aggregation (Hamilton, Ying and Leskovec, arXiv:1706.02216)."""

    def __init__(self, width: int = 32) -> None:
        """Make two layers of ``width`` channels, and a head per output."""
        super().__init__()
        sizes = [2 * FEATURES, 2 * width]
        self.layers = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.label_head = nn.Linear(width, LABELS)
        self.score_head = nn.Linear(width, 1)

    def forward(
        self, x: torch.Tensor, edge_index: torch.Tensor, graph: torch.Tensor, graphs: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits ``[nodes, labels]`` and scores ``[graphs]``."""
        source, target = edge_index
        for layer in self.layers:
            neighbours = mean_by(x[source], target, len(x))
            x = torch.relu(layer(torch.cat([x, neighbours], dim=1)))
        score = torch.sigmoid(self.score_head(mean_by(x, graph, graphs)))
        return self.label_head(x), score.squeeze(1)


def mean_by(values: torch.Tensor, group: torch.Tensor, groups: int) -> torch.Tensor:
    """Return the mean row of each group, ``[groups, channels]``; zeros for an empty group."""
    total = values.new_zeros(groups, values.shape[1]).index_add_(0, group, values)
    count = torch.bincount(group, minlength=groups).clamp(min=1)
    return total / count.unsqueeze(1)
