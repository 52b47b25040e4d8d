"""Serve an exported PyTorch graph model from a Triton repository, without code on the server.

    python examples/model_repository.py

Needs the extra `torch`.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

import naiad

CONFIG = """
backend: "pytorch"
max_batch_size: 0
input [ { name: "x__0" data_type: TYPE_FP32 dims: [-1, 8] },
        { name: "edgeindex__1" data_type: TYPE_INT64 dims: [2, -1] } ]
output { name: "scores__0" data_type: TYPE_FP32 dims: [-1, 3] }
parameters { key: "naiad_dims" value { string_value:
  "x__0: nodes, 8; edgeindex__1: 2, edges -> nodes; scores__0: nodes, 3" } }
"""


class Net(torch.nn.Module):
    """Scores of each node, from its own features and its neighbours'."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.near = torch.nn.Linear(8, 3), torch.nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        """Add each node's own term and its neighbours' terms."""
        messages = self.near(x).index_select(0, edge_index[0])
        return self.own(x).index_add(0, edge_index[1], messages)


def main() -> None:
    """Export the network, serve the folder, and send a request."""
    program = torch.export.export(
        Net(),
        (torch.zeros(4, 8), torch.zeros(2, 5, dtype=torch.int64)),
        dynamic_shapes=({0: torch.export.Dim("nodes")}, {1: torch.export.Dim("edges")}),
    )
    with tempfile.TemporaryDirectory() as folder:
        version = Path(folder) / "papers" / "1"
        version.mkdir(parents=True)
        torch.export.save(program, version / "model.pt2")
        version.with_name("config.pbtxt").write_text(CONFIG)
        with naiad.serve(model_repository=folder) as server, server.client() as client:
            answer = client.infer(
                "papers",
                x__0=np.ones((4, 8), np.float32),
                edgeindex__1=np.array([[0, 1], [2, 3]]),
            )
    print(answer["scores__0"].shape)


if __name__ == "__main__":
    main()
