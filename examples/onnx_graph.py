"""Serve a graph network in an ONNX file, without code on the server; requests are merged.

    python examples/onnx_graph.py

Needs the extras `torch`, for the export, and `onnx`.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

import naiad

CONFIG = """
backend: "onnxruntime"
max_batch_size: 0
input [ { name: "x" data_type: TYPE_FP32 dims: [-1, 8] },
        { name: "edge_index" data_type: TYPE_INT64 dims: [2, -1] } ]
output { name: "scores" data_type: TYPE_FP32 dims: [-1, 3] }
parameters { key: "naiad_dims" value { string_value:
  "x: nodes, 8; edge_index: 2, edges -> nodes; scores: nodes, 3" } }
"""


class Net(nn.Module):
    """Scores of each node, from its own features and its neighbours'."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.near = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Add each node's own term and its neighbours' terms."""
        messages = self.near(x).index_select(0, edge_index[0])
        target = edge_index[1].unsqueeze(1).expand_as(messages)
        return self.own(x).scatter_add(0, target, messages)


def export(net: nn.Module, repository: Path) -> None:
    """Write the network and its config into a model repository, as the model `papers`."""
    version = repository / "papers" / "1"
    version.mkdir(parents=True)
    torch.onnx.export(
        net.eval(),
        (torch.zeros(4, 8), torch.zeros(2, 5, dtype=torch.int64)),
        str(version / "model.onnx"),
        input_names=["x", "edge_index"],
        output_names=["scores"],
        dynamic_axes={"x": {0: "nodes"}, "edge_index": {1: "edges"}, "scores": {0: "nodes"}},
        opset_version=17,
        dynamo=False,  # the newer exporter needs the package onnxscript
    )
    version.with_name("config.pbtxt").write_text(CONFIG)


def main() -> None:
    """Export the network, serve the folder, and send a request."""
    with tempfile.TemporaryDirectory() as folder:
        export(Net(), Path(folder))
        with naiad.serve(model_repository=folder) as server, server.client() as client:
            x, edge_index = np.ones((4, 8), np.float32), np.array([[0, 1], [2, 3]])
            print(client.infer("papers", x=x, edge_index=edge_index)["scores"].shape)


if __name__ == "__main__":
    main()
