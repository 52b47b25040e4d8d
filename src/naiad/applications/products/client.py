"""The ``products`` model for people: numbers of products in, categories and picks out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from naiad.applications.products.recommend import MODEL, Recommendation, picks
from naiad.applications.products.results import Labels, ProductsResult
from naiad.client import ModelClient
from naiad.client.ordered_map import ask_many
from naiad.errors import InvalidInput


class ProductsClient:
    """Asks a served ``products``; from ``client.products``, where ``client`` is a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            print(client.products.infer([17, 42]).top(0))
            print(client.products.recommend([17], k=5))
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"ProductsClient({self.model!r})"

    @cached_property
    def labels(self) -> Labels:
        """Categories, graph and notice of the weights, which the server is asked for once."""
        parameters = self.model.config().get("parameters", {})
        return Labels.from_parameters(
            {name: str(value.get("string_value", "")) for name, value in parameters.items()}
        )

    def infer(
        self, products: ArrayLike, *, seed: int = 0, timeout: float | None = None
    ) -> ProductsResult:
        """Categories and embeddings of some products, in one request.

        Args:
            products: their numbers, in any order, some perhaps repeated.
            seed: decides which neighbours are sampled. A product gets the same answer with the same
                seed, whichever others are asked about.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: a number is no product's; says which, and what there is.
            NaiadError: as of `naiad.Client`.
        """
        numbers = _numbers(products)
        answer = self.model.infer(product=numbers, seed=[seed], timeout=timeout)
        return ProductsResult.of(numbers, answer, self.labels)

    def infer_many(
        self,
        products: ArrayLike,
        *,
        per_request: int = 64,
        seed: int = 0,
        concurrency: int = 4,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """The same for any number of products, some in each request; yields results in order.

        Args:
            products: their numbers.
            per_request: how many are in one request.
            seed: as of :meth:`infer`.
            concurrency: how many requests are with the server at once.
            progress: show a progress bar on standard error.
            timeout: seconds per request, instead of the client's.
            on_error: "raise" ends at the first request that fails; "return" yields its error in its
                place and goes on.
        """
        numbers = _numbers(products)
        starts = range(0, len(numbers), per_request)
        return ask_many(
            lambda start: self.infer(
                numbers[start : start + per_request], seed=seed, timeout=timeout
            ),
            starts,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )

    def recommend(
        self,
        basket: Sequence[int],
        k: int = 10,
        *,
        graph_weight: float | None = None,
        unseen: bool = False,
        timeout: float | None = None,
    ) -> list[Recommendation]:
        """What is bought together with the products of a basket, the best first.

        Asks the model ``products_recommend`` of the same server.

        Args:
            basket: numbers of one product or a few.
            k: how many are wanted.
            graph_weight: how much the graph counts, against the embeddings: 0 to 1; by default as
                the server has it.
            unseen: leave out what was bought together with one of the basket before.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: a number is no product's, or the basket is empty or too large.
            Unavailable: the store cannot be read, or has no embedding of a product yet.
            NaiadError: as of `naiad.Client`.
        """
        wanted = {} if graph_weight is None else {"graph_weight": [graph_weight]}
        answer = self.model.client.infer(
            MODEL,
            {"product": _numbers(basket), "k": [k], "unseen": [unseen], **wanted},
            timeout=timeout,
        )
        return picks(answer)


def _numbers(products: ArrayLike) -> NDArray[np.int64]:
    numbers = np.atleast_1d(np.asarray(products))
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise InvalidInput(
            f"products are {numbers.dtype} {list(numbers.shape)}; give a list of whole numbers"
        )
    return numbers.astype(np.int64)
