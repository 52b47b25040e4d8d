"""The asyncio client of ``text_embedding``, and the source of the blocking one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from naiad.applications.text.embedding.texts import encode
from naiad.tasks.aio import AsyncTaskClient


class AsyncTextEmbeddingClient(AsyncTaskClient[str, NDArray[np.float32]]):
    """Client of a served ``text_embedding``: texts in, an array out; ``client.text_embedding``.

    ``card`` has the server's ``encoder``, ``dimension``, ``max_tokens``, ``precision`` and
    ``notice``.

    Example::

        async with naiad.AsyncClient("localhost:8001") as client:
            vectors = await client.text_embedding.embed(["a heist in space", "a bank robbery"])
            print(vectors @ vectors.T)
    """

    async def embed(
        self,
        texts: Sequence[str],
        *,
        concurrency: int | None = None,
        progress: bool = False,
        timeout: float | None = None,
    ) -> NDArray[np.float32]:
        """Return a vector per text, float32 ``[texts, dimension]``, in their order.

        Any number of texts may be given: several share a request. Only the beginning of a long
        text is read, see ``max_tokens`` of the card.

        Args:
            texts: the texts; an empty one has a vector too.
            concurrency: number of requests in flight.
            progress: show a progress bar on standard error.
            timeout: seconds per request, instead of the client's.

        Raises:
            InvalidInput: a text cannot be sent or is too long; says which.
            NaiadError: as for `naiad.AsyncClient`.
        """
        encode(texts, "text")  # finds the text that is too long before anything is sent
        found = self.infer_many(texts, concurrency=concurrency, progress=progress, timeout=timeout)
        vectors = [vector async for vector in found]
        if not vectors:
            return np.zeros((0, int((await self.card)["dimension"])), np.float32)
        return np.stack(vectors)
