"""The models ``movies_similar``, ``movies_search`` and ``movies_recommend``.

They read the store on the server, each worker for itself, and follow it: what is published while
they serve is in the next answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.movies.catalogue import Catalogue, search_filter
from naiad.applications.movies.picks import as_arrays, pack
from naiad.applications.movies.place import open_films, store_place
from naiad.applications.movies.recommend import recommend
from naiad.applications.movies.schema import (
    OUTPUTS,
    RECOMMEND_INPUTS,
    SEARCH_INPUTS,
    SIMILAR_INPUTS,
)
from naiad.applications.text.embedding.importing import served_folder
from naiad.applications.text.embedding.texts import decode
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import BYTES, REQUESTS, Array, Arrays, Tensor


class MoviePipeline(Pipeline):
    """What the models of films have in common."""

    inputs = SIMILAR_INPUTS
    result = {
        "answer": Tensor(BYTES, (REQUESTS,), doc="as naiad.applications.movies.picks packs it")
    }
    outputs = OUTPUTS
    arrays = "numpy"
    # Requests of a batch are answered one after the other: the database takes them so.
    budget = Budget(requests=4)
    prepare_threads = 0  # both hooks ask the store, whose connection is for one of them at a time

    def setup(self, device: str) -> None:
        """The store is opened with the first request, as it may be made after the server starts."""
        self._catalogue: Catalogue | None = None

    def catalogue(self) -> Catalogue:
        """The store as it was last published.

        Raises:
            StoreError: there is none, or it is half loaded or damaged.
        """
        if self._catalogue is None:
            self._catalogue = Catalogue(open_films(store_place(), threads=1))
        else:
            self._catalogue.refresh()
        return self._catalogue

    def forward(self, batch: Batch) -> Mapping[str, Any]:
        """Answer each request of a batch."""
        answers = np.empty(batch.requests, object)
        answers[:] = pack([], "", "")
        for number in np.flatnonzero(batch["k"]):
            row = {name: array[number] for name, array in batch.items()}
            answers[number] = self.answer(self.catalogue(), row)
        return {"answer": answers}

    def answer(self, catalogue: Catalogue, row: Mapping[str, Any]) -> bytes:
        """Answer one request: packed picks."""
        raise NotImplementedError

    def finish(self, result: Arrays) -> Arrays:
        """The tensors of an answer."""
        return as_arrays(result["answer"][0])


class MoviesSimilar(MoviePipeline):
    """Films whose descriptions are like that of a film."""

    inputs = sample = SIMILAR_INPUTS

    def prepare(self, request: Request) -> Arrays:
        """Refuse what is no film."""
        (title,) = decode(request["movie"], "movie")
        if not request["k"][0]:
            return request.arrays
        return {**request.arrays, "movie": _bytes(self.catalogue().find(title))}

    def answer(self, catalogue: Catalogue, row: Mapping[str, Any]) -> bytes:
        """The nearest films."""
        film = row["movie"].decode()
        picks = catalogue.similar(film, int(row["k"]))
        return pack(picks, f"like {catalogue.titles.name(film)}", catalogue.notice)

    def example(self) -> dict[str, Array]:
        """For no film: the model has to answer before there is a store, too."""
        return {"movie": _bytes(""), "k": np.array([0], np.int32)}


class MoviesSearch(MoviePipeline):
    """Films whose descriptions fit a text."""

    inputs = SEARCH_INPUTS
    sample = {**SEARCH_INPUTS, "vector": Tensor("float32", (REQUESTS, "dimension"))}

    def __init__(self, weights: Path | None = None) -> None:
        """Use the encoder in the folder ``weights``, or the default one."""
        super().__init__(served_folder(weights))

    def setup(self, device: str) -> None:
        """Load the encoder too, which has to be the one that the descriptions were embedded by."""
        from naiad.applications.text.embedding.encoder import Encoder

        super().setup(device)
        assert self.weights_path is not None
        self._encoder = Encoder(self.weights_path, device)

    def prepare(self, request: Request) -> Arrays:
        """Embed the text."""
        (text,) = decode(request["text"], "text")
        (genre,) = decode(request["genre"], "genre")
        if request["k"][0]:
            self.catalogue().check_search(text, genre, self._encoder.card.name)
        return {**request.arrays, "vector": self._encoder.encode([text])}

    def answer(self, catalogue: Catalogue, row: Mapping[str, Any]) -> bytes:
        """The nearest films."""
        where = search_filter(row["genre"].decode(), int(row["first_year"]), int(row["last_year"]))
        picks = catalogue.search(row["vector"], int(row["k"]), where)
        return pack(picks, f"for {row['text'].decode()[:80]!r}", catalogue.notice)

    def example(self) -> dict[str, Array]:
        """A text, and no film."""
        return {"text": _bytes("a heist in space"), "k": np.array([0], np.int32)}


class MoviesRecommend(MoviePipeline):
    """Films that a user has not seen and may like."""

    inputs = sample = RECOMMEND_INPUTS

    def prepare(self, request: Request) -> Arrays:
        """Refuse what is no text."""
        decode(request["user"], "user")
        return request.arrays

    def answer(self, catalogue: Catalogue, row: Mapping[str, Any]) -> bytes:
        """The best films."""
        user = row["user"].decode()
        return pack(recommend(catalogue, user, int(row["k"])), f"for user {user}", catalogue.notice)

    def example(self) -> dict[str, Array]:
        """For no film, as that of `MoviesSimilar`."""
        return {"user": _bytes(""), "k": np.array([0], np.int32)}


def _bytes(text: str) -> Array:
    return np.array([text.encode(), None], object)[:1]
