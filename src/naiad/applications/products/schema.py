"""What the ``products`` model takes and gives, and the bounds on what it accepts."""

from __future__ import annotations

from typing import Final

from naiad.core.schema import REQUESTS, Schema, Tensor

MAX_PRODUCTS: Final = 1_024
"""Most products of one request."""

INPUTS: Final[Schema] = {
    "product": Tensor(
        "int64", ("products",), minimum=0, doc="number of each product in the graph, from 0"
    ),
    "seed": Tensor(
        "int64",
        (REQUESTS,),
        optional=True,
        default=0,
        minimum=0,
        doc="decides which neighbours are sampled; 0 where it is left out",
    ),
}

SAMPLE: Final[Schema] = {
    "node": Tensor("int64", ("nodes",), doc="number in the graph of each node looked at"),
    "node_hop": Tensor("int8", ("nodes",), doc="hop at which it was met; 0: asked about"),
    "edge_index": Tensor(
        "int64", (2, "edges"), index_into="nodes", doc="from a neighbour to who sampled it"
    ),
    "edge_hop": Tensor("int8", ("edges",), doc="hop at which it was sampled, from 1"),
    "position": Tensor("int64", ("products",), index_into="nodes", doc="of each product"),
    "neighbours": Tensor("int64", ("products",), doc="of each product in the whole graph"),
}

OUTPUTS: Final[Schema] = {
    "embeddings": Tensor(
        "float32",
        ("products", "layers", "width"),
        doc="of each product after each hidden layer, the first layer first",
    ),
    "logits": Tensor(
        "float32", ("products", "categories"), doc="of the last layer: scores before softmax"
    ),
    "probabilities": Tensor("float32", ("products", "categories"), doc="of each category"),
    "neighbours": Tensor(
        "int64",
        ("products",),
        doc="how many products each was bought with; 0: the answer is by its features alone",
    ),
}
