"""A co-purchase graph and its products' embeddings in a graph store.

The store has each product's category, number of neighbours and neighbours, and its embedding from
the last hidden layer of a served ``products``. Embeddings are computed in chunks on a server and
published as they arrive, so readers see them early and an interrupted run can resume.
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
"""The environment variable that overrides the default location."""

_ORIGIN: Final = "Origin"
_ORIGIN_KEY: Final = "embeddings"
_PUBLISH: Final = 10.0
"""Seconds between publications, each of which copies the store."""


def store_place() -> str:
    """Return the folder of the store: ``NAIAD_PRODUCTS``, or a folder of the user's data."""
    return os.environ.get(VARIABLE) or str(user_data_path("naiad") / "products")


def load_graph(where: str, graph: ProductGraph, labels: Labels, width: int) -> None:
    """Create a store of a graph, without embeddings.

    Args:
        where: the store's folder; an existing store is replaced.
        graph: the products and their neighbours.
        labels: the labels of the server that will compute the embeddings.
        width: length of an embedding.

    Raises:
        InvalidInput: the server has another graph.
        StoreError: another process is writing to the store.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtra("products", error.name or "pyarrow") from error
    if (len(graph), graph.edges) != (labels.products, labels.edges):
        raise InvalidInput(
            f"{graph.source} has {len(graph):,} products and {graph.edges:,} edges; the server's "
            f"graph, {labels.graph}, has {labels.products:,} and {labels.edges:,}: give the "
            "server's graph with --graph"
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
    names = np.array([*graph.categories, None], object)  # index -1, unknown, is None
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
    """Compute the embeddings that a store lacks; return their number.

    Args:
        where: the store, with its graph loaded.
        client: a client of the server that computes them.
        per_request: products per request.
        concurrency: maximum number of concurrent requests.
        progress: called with the number of products that have an embedding and the total.

    Raises:
        StoreError: the store's embeddings are from other weights, or another process is writing.
        NaiadError: as for the client. Embeddings computed so far are kept.
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
        except BaseException:  # including Ctrl-C
            writer.publish()
            raise
    return len(missing)


def open_products(where: str, weights_sha256: str) -> Store:
    """Open the store at ``where``, whose embeddings must be from the given weights.

    Raises:
        StoreError: the store is missing, incomplete, damaged or from other weights.
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
            f"the embeddings in {where} are from other weights; `naiad products embed --force` "
            "replaces the store"
        )
