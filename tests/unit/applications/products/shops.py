"""Graphs, networks and weights for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from naiad.applications.products.card import Architecture, ProductsCard
from naiad.applications.products.graph import ProductGraph, graph_of_pairs, write_graph
from naiad.applications.products.model import SageNet

SMALL = Architecture(features=5, hidden=7, classes=4, layers=3)
CATEGORIES = tuple("abcd")


def random_net(architecture: Architecture = SMALL, seed: int = 0) -> SageNet:
    net = SageNet(architecture)
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.4, generator=generator)
    return net.eval()


def random_graph(products: int, pairs: int, seed: int = 0, **changes: Any) -> ProductGraph:
    """Any pairs, some repeated and of one product; product 0 is bought with nothing."""
    rng = np.random.default_rng(seed)
    low = min(1, products - 1)
    found = rng.integers(low, products, (2, pairs))
    indptr, indices = graph_of_pairs(found, products)
    values: dict[str, Any] = {
        "source": "a random graph",
        "indptr": indptr,
        "indices": indices,
        "features": rng.normal(size=(products, SMALL.features)).astype(np.float32),
        "categories": CATEGORIES,
        "category": rng.integers(0, 4, products).astype(np.int16),
    }
    return ProductGraph(**{**values, **changes})


def save(folder: Path, shop: ProductGraph | None = None, **changes: Any) -> Path:
    """A folder of weights, with a graph in it."""
    values: dict[str, Any] = {
        "architecture": SMALL,
        "classes": CATEGORIES,
        "trained_on": "nothing",
        "graph": "graph",
        "fanouts": (4, 3, 2),
        "notice": "for tests",
    }
    card = ProductsCard(**{**values, **changes})
    card.save_with(random_net(card.architecture), folder)
    write_graph(folder / "graph", shop or random_graph(60, 300))
    return folder
