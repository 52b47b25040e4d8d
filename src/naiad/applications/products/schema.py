"""The inputs and outputs of the ``products`` model, and their bounds."""

from __future__ import annotations

from typing import Final

from naiad.core.schema import REQUESTS, Schema, Tensor

MAX_PRODUCTS: Final = 1_024
"""Maximum number of products in one request."""

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
        doc="seed of the sampling of neighbours; 0 if omitted",
    ),
}

SAMPLE: Final[Schema] = {
    "node": Tensor("int64", ("nodes",), doc="number of each sampled node in the graph"),
    "node_hop": Tensor("int8", ("nodes",), doc="hop at which it was found; 0: requested"),
    "edge_index": Tensor(
        "int64", (2, "edges"), index_into="nodes", doc="from a neighbour to the node it belongs to"
    ),
    "edge_hop": Tensor("int8", ("edges",), doc="hop at which it was sampled, from 1"),
    "position": Tensor("int64", ("products",), index_into="nodes", doc="node of each product"),
    "neighbours": Tensor("int64", ("products",), doc="number of neighbours in the whole graph"),
}

OUTPUTS: Final[Schema] = {
    "embeddings": Tensor(
        "float32",
        ("products", "layers", "width"),
        doc="embedding of each product after each hidden layer, the first layer first",
    ),
    "logits": Tensor(
        "float32", ("products", "categories"), doc="scores before softmax, from the last layer"
    ),
    "probabilities": Tensor(
        "float32", ("products", "categories"), doc="probability of each category"
    ),
    "neighbours": Tensor(
        "int64",
        ("products",),
        doc="number of products each was bought with; 0: the answer uses its features alone",
    ),
}
