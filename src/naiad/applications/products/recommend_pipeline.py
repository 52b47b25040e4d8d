"""The ``products_recommend`` model: a basket of products in, recommendations out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from naiad.applications.products.card import ProductsCard
from naiad.applications.products.client import RECOMMEND
from naiad.applications.products.graph import ProductGraph
from naiad.applications.products.picks import Recommendation
from naiad.applications.products.pipeline import graph_of, weights_folder
from naiad.applications.products.product_store import open_products, store_place
from naiad.applications.products.recommend import (
    GRAPH_WEIGHT,
    MAX_PICKS,
    recommend,
)
from naiad.card import read_card
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import BYTES, REQUESTS, Array, Arrays, Tensor

if TYPE_CHECKING:
    from naiad.applications.store import Store


class ProductsRecommend(Pipeline):
    """Products to go with a basket, and why.

    It reads the store that :mod:`naiad.applications.products.product_store` fills, and follows its
    publications. ``weights`` are the weights of the store's embeddings.
    """

    name = RECOMMEND
    inputs = {
        "product": Tensor("int64", ("basket",), minimum=0, doc="numbers of the basket's products"),
        "k": Tensor(
            "int32",
            (REQUESTS,),
            optional=True,
            default=10,
            minimum=0,
            maximum=MAX_PICKS,
            doc="number of picks; 10 if omitted",
        ),
        "graph_weight": Tensor(
            "float32",
            (REQUESTS,),
            optional=True,
            default=GRAPH_WEIGHT,
            minimum=0,
            maximum=1,
            doc="weight of the graph against the embeddings; 0.5 if omitted",
        ),
        "unseen": Tensor(
            "bool",
            (REQUESTS,),
            optional=True,
            default=False,
            doc="leave out products already bought with the basket; false if omitted",
        ),
    }
    sample = {
        "product": Tensor("int64", ("picks",), doc="numbers of the products, the best first"),
        "category": Tensor(BYTES, ("picks",), doc="name of the category, UTF-8; empty: unknown"),
        "score": Tensor("float32", ("picks",), doc="0 to 1"),
        "cosine": Tensor("float32", ("picks",), doc="cosine of its embedding with the basket's"),
        "overlap": Tensor("float32", ("picks",), doc="overlap of its neighbours with the basket's"),
        "shared": Tensor("int64", ("picks",), doc="number of neighbours shared with the basket"),
        "bought_together": Tensor(
            "int64", ("picks",), doc="number of products in the basket that it was bought with"
        ),
    }
    result = sample
    outputs = sample
    arrays = "numpy"
    prepare_threads = 0  # forward() does nothing that could overlap
    weights = "data/weights"

    @cached_property
    def known(self) -> ProductsCard:
        """The card of the weights."""
        return read_card(weights_folder(self), ProductsCard)

    @cached_property
    def graph(self) -> ProductGraph:
        """The graph that the store was filled from."""
        return graph_of(weights_folder(self), self.known)

    def metadata(self) -> Mapping[str, str]:
        """Return the notice of the weights that made the embeddings."""
        return {"notice": self.known.notice}

    def setup(self, device: str) -> None:
        """Open no store yet: it may be filled later, perhaps through this very server."""
        _ = self.graph
        self._store: Store | None = None

    def prepare(self, request: Request) -> Arrays:
        """Query the store; requests cannot be merged, so all work is done here."""
        k = int(request["k"][0])
        if not k:
            return _arrays([])
        found = recommend(
            self._opened(),
            self.graph,
            request["product"].tolist(),
            k,
            graph_weight=float(request["graph_weight"][0]),
            unseen=bool(request["unseen"][0]),
        )
        return _arrays(found)

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Return the prepared batch unchanged."""
        return dict(batch)

    def example(self) -> dict[str, Array]:
        """Return a request for 0 picks, which needs no store."""
        return {
            "product": np.zeros(1, np.int64),
            "k": np.zeros(1, np.int32),
            "graph_weight": np.array([GRAPH_WEIGHT], np.float32),
            "unseen": np.zeros(1, np.bool_),
        }

    def _opened(self) -> Store:
        """Return the store as last published."""
        if self._store is None or self._store.refresh():
            if self._store is not None:
                self._store.close()  # the new state may be from other weights
                self._store = None
            self._store = open_products(store_place(), self.known.sha256)
        return self._store


def _arrays(found: list[Recommendation]) -> dict[str, Array]:
    """Return the sample of a request, one row per recommendation."""
    columns: dict[str, Array] = {}
    for name, tensor in ProductsRecommend.sample.items():
        values = [getattr(pick, name) for pick in found]
        if tensor.dtype == BYTES:
            columns[name] = np.array([value.encode() for value in values], object)
        else:
            columns[name] = np.array(values, tensor.numpy)
    return columns
