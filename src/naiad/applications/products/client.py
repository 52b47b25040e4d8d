"""The blocking client of ``products``."""

# Made from aio.py by scripts/blocking.py: edit that.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.products.picks import Recommendation, picks
from naiad.tasks.client import TaskClient

if TYPE_CHECKING:
    from naiad.applications.products.results import ProductsResult  # noqa: F401 - in a string

RECOMMEND: Final = "products_recommend"
"""The model's name that recommends."""


class ProductsClient(TaskClient[NDArray[np.int64], "ProductsResult"]):
    """Client of a served ``products``, and of ``products_recommend``; ``client.products``.

    Example::

        with naiad.Client("localhost:8001") as client:
            print(client.products.infer([17, 42]).top(0))
            print(client.products.recommend([17], k=5))
    """

    def recommend(
        self,
        basket: Sequence[int],
        k: int = 10,
        *,
        graph_weight: float | None = None,
        unseen: bool = False,
        timeout: float | None = None,
    ) -> list[Recommendation]:
        """Return what is bought together with the products of a basket, the best first.

        Asks the model ``products_recommend`` of the same server.

        Args:
            basket: numbers of one product or a few.
            k: number of picks.
            graph_weight: weight of the graph against the embeddings, 0 to 1; by default the
                server's.
            unseen: leave out what was bought together with one of the basket before.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: a number is no product's, or the basket is empty or too large.
            Unavailable: the store cannot be read, or has no embedding of a product yet.
            NaiadError: as for `naiad.Client`.
        """
        wanted = {} if graph_weight is None else {"graph_weight": [graph_weight]}
        products = self.task.coerce(basket, None)
        answer = self.model.client.infer(
            RECOMMEND,
            {"product": products, "k": [k], "unseen": [unseen], **wanted},
            timeout=timeout,
        )
        return picks(answer)
