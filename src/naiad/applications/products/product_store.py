"""A co-purchase graph and its products' embeddings in a graph store.

The store has each product's category and number of neighbours, what it was bought with, and its
embedding by the last hidden layer of a served ``products``. Embeddings are computed through a
server, some at a time, and published as they come: others read meanwhile, and what is interrupted
goes on where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from platformdirs import user_data_path

from naiad.applications.products.graph import ProductGraph
from naiad.applications.store import (
    EdgeTable,
    GraphSchema,
    NodeTable,
    Store,
    create_store,
    exists,
    open_store,
    write_store,
)
from naiad.errors import InvalidInput, MissingExtra, StoreError

if TYPE_CHECKING:
    from naiad.applications.products.client import ProductsClient
    from naiad.applications.products.results import Labels

PRODUCT: Final = "Product"
BOUGHT_WITH: Final = "bought_with"
EMBEDDING: Final = "embedding"
VARIABLE: Final = "NAIAD_PRODUCTS"
"""The environment variable that names another place than the default one."""

_ORIGIN: Final = "Origin"
_ORIGIN_KEY: Final = "embeddings"
_PUBLISH: Final = 10.0
"""Seconds between two states that others see. To publish costs a copy of the store."""


def store_place() -> str:
    """The folder of the store: ``NAIAD_PRODUCTS``, or a folder of the user's data."""
    return os.environ.get(VARIABLE) or str(user_data_path("naiad") / "products")


def load_graph(where: str, graph: ProductGraph, labels: Labels, width: int) -> None:
    """Make a store of a graph, whose products have no embeddings yet.

    Args:
        where: the store's folder; what is there is replaced.
        graph: products and what they were bought with.
        labels: of the server by which embeddings will be computed.
        width: numbers per embedding.

    Raises:
        InvalidInput: the server's graph is another one.
        StoreError: another process writes to the store.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtra("products", error.name or "pyarrow") from error
    if (len(graph), graph.edges) != (labels.products, labels.edges):
        raise InvalidInput(
            f"{graph.source}: {len(graph):,} products and {graph.edges:,} edges; the server's "
            f"graph, {labels.graph}, has {labels.products:,} and {labels.edges:,}"
        )
    schema = GraphSchema(
        nodes=(
            NodeTable(
                PRODUCT,
                {"category": "string", "neighbours": "int64"},
                key="int64",
                vectors={EMBEDDING: width},
            ),
            NodeTable(_ORIGIN, {"weights_sha256": "string", "notice": "string"}),
        ),
        edges=(EdgeTable(BOUGHT_WITH, PRODUCT, PRODUCT),),
    )
    names = np.array([*graph.categories, None], object)  # -1 is the last: unknown
    category = names[graph.category] if graph.category.size else [None] * len(graph)
    source = np.repeat(np.arange(len(graph)), graph.degrees())
    once = source < graph.indices
    with create_store(where, schema) as writer:
        products = {
            "id": np.arange(len(graph)),
            "category": pa.array(category, pa.string()),
            "neighbours": graph.degrees(),
        }
        writer.load_nodes(PRODUCT, pa.table(products))
        pairs = {"from": source[once], "to": graph.indices[once].astype(np.int64)}
        writer.load_edges(BOUGHT_WITH, pa.table(pairs))
        origin = {
            "id": [_ORIGIN_KEY],
            "weights_sha256": [labels.weights_sha256],
            "notice": [labels.notice],
        }
        writer.load_nodes(_ORIGIN, pa.table(origin))


def embed(
    where: str,
    client: ProductsClient,
    *,
    per_request: int = 64,
    concurrency: int = 4,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Compute the embeddings that a store does not have yet; how many that were.

    Args:
        where: the store, with its graph loaded.
        client: of the server that computes them.
        per_request: products of one request.
        concurrency: requests that are with the server at once.
        progress: told how many products have one, of how many.

    Raises:
        StoreError: those that are there are of other weights, or another process writes to it.
        NaiadError: as of the client. What was computed until then is kept.
    """
    with write_store(where) as writer:
        _check_origin(writer, where, client.card.weights_sha256)
        missing = [int(key) for key in writer.missing(PRODUCT, EMBEDDING)]
        total = writer.count(PRODUCT)
        done = total - len(missing)
        progress(done, total)
        published = time.monotonic()
        try:
            starts = range(0, len(missing), per_request)
            baskets = (missing[start : start + per_request] for start in starts)
            for result in client.infer_many(baskets, concurrency=concurrency):
                last = result.embeddings[:, -1]
                writer.set_vectors(PRODUCT, EMBEDDING, result.product.tolist(), last)
                done += len(result)
                progress(done, total)
                if time.monotonic() - published > _PUBLISH:
                    writer.publish()
                    published = time.monotonic()
        except BaseException:  # Ctrl-C, too
            writer.publish()
            raise
    return len(missing)


def open_products(where: str, weights_sha256: str) -> Store:
    """The store at a place, whose embeddings are of those weights.

    Raises:
        StoreError: it is missing, which says how to fill one, half loaded, damaged or of others.
    """
    try:
        store = open_store(where, threads=1)
    except StoreError as error:
        if exists(where):
            raise
        raise StoreError(f"{error}; `naiad products embed` fills one") from None
    try:
        _check_origin(store, where, weights_sha256)
    except BaseException:
        store.close()
        raise
    return store


def _check_origin(store: Store, where: str, weights_sha256: str) -> None:
    (origin,) = store.get(_ORIGIN, [_ORIGIN_KEY])
    if origin is None or origin["weights_sha256"] != weights_sha256:
        raise StoreError(
            f"the embeddings in {where} are of other weights; with --force "
            "`naiad products embed` begins anew"
        )
