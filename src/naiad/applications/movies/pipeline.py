"""The models ``movies_similar``, ``movies_search`` and ``movies_recommend``.

Each worker reads the store on the server and follows it: a new publication shows in the next
answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.credits import search_filter
from naiad.applications.movies.current import Current
from naiad.applications.movies.likeness import check_likeness, find, like, question
from naiad.applications.movies.picks import as_arrays, pack
from naiad.applications.movies.place import open_films, store_place
from naiad.applications.movies.schema import (
    OUTPUTS,
    RECOMMEND_INPUTS,
    SEARCH_INPUTS,
    SIMILAR_INPUTS,
)
from naiad.applications.movies.search import search
from naiad.applications.text.embedding.importing import served_folder
from naiad.applications.text.embedding.texts import decode
from naiad.core.budget import Budget
from naiad.core.merging import Batch
from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import BYTES, REQUESTS, Array, Arrays, Tensor
from naiad.core.settings import RUNTIMES


class MoviePipeline(Pipeline):
    """The common base of the film models."""

    inputs = SIMILAR_INPUTS
    result = {
        "answer": Tensor(BYTES, (REQUESTS,), doc="as naiad.applications.movies.picks packs it")
    }
    outputs = OUTPUTS
    arrays = "numpy"
    # The database serves one request at a time, so a batch is answered in sequence.
    budget = Budget(requests=4)
    prepare_threads = 0  # both hooks query the store, whose connection serves one at a time

    def setup(self, device: str) -> None:
        """Open no store yet: it may be created after the server starts."""
        self._catalogue: Catalogue | None = None

    def catalogue(self) -> Catalogue:
        """Return the store as last published.

        Raises:
            StoreError: the store is missing, incomplete or damaged.
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
        """Return packed picks for one request."""
        raise NotImplementedError

    def finish(self, result: Arrays) -> Arrays:
        """Return the tensors of an answer."""
        return as_arrays(result["answer"][0])


class MoviesSimilar(MoviePipeline):
    """Films like a film, by all that is known or by one kind of likeness."""

    inputs = sample = SIMILAR_INPUTS

    def prepare(self, request: Request) -> Arrays:
        """Find the film's key; refuse unknown films and likenesses."""
        (title,) = decode(request["movie"], "movie")
        (by,) = decode(request["by"], "by")
        check_likeness(by)
        if not request["k"][0]:
            return request.arrays
        return {**request.arrays, "movie": _bytes(find(self.catalogue(), title, by))}

    def answer(self, catalogue: Catalogue, row: Mapping[str, Any]) -> bytes:
        """Return the films most like a film."""
        film, by = row["movie"].decode(), row["by"].decode()
        picks = like(catalogue, film, int(row["k"]), by)
        return pack(picks, question(catalogue, film, by), catalogue.notice)

    def example(self) -> dict[str, Array]:
        """Return a request for 0 films, which needs no store."""
        return {"movie": _bytes(""), "k": np.array([0], np.int32)}


class MoviesSearch(MoviePipeline):
    """Films that fit a text by meaning, words and fame."""

    inputs = SEARCH_INPUTS
    sample = {**SEARCH_INPUTS, "vector": Tensor("float32", (REQUESTS, "dimension"))}
    runtimes = RUNTIMES

    def __init__(self, weights: Path | None = None) -> None:
        """Use the encoder in the folder ``weights``, or the default one."""
        super().__init__(served_folder(weights))

    def setup(self, device: str) -> None:
        """Load the encoder, which must be the one that embedded the descriptions."""
        from naiad.applications.text.embedding.encoder import Encoder

        super().setup(device)
        assert self.weights_path is not None
        self._encoder = Encoder(self.weights_path, device, runtime=self.runtime)

    def prepare(self, request: Request) -> Arrays:
        """Embed the text."""
        (text,) = decode(request["text"], "text")
        (genre,) = decode(request["genre"], "genre")
        for name in ("director", "actor"):
            decode(request[name], name)
        if request["k"][0]:
            self.catalogue().check_search(text, genre, self._encoder.card.name)
        return {**request.arrays, "vector": self._encoder.encode([text])}

    def answer(self, catalogue: Catalogue, row: Mapping[str, Any]) -> bytes:
        """Return the films that fit the text best."""
        where = search_filter(
            catalogue,
            genre=row["genre"].decode(),
            first_year=int(row["first_year"]),
            last_year=int(row["last_year"]),
            director=row["director"].decode(),
            actor=row["actor"].decode(),
        )
        text = row["text"].decode()
        picks = search(catalogue, text, row["vector"], int(row["k"]), where)
        return pack(picks, f"for {text[:80]!r}", catalogue.notice)

    def example(self) -> dict[str, Array]:
        """Return a request for 0 films, which needs no store."""
        return {"text": _bytes("a heist in space"), "k": np.array([0], np.int32)}


class MoviesRecommend(MoviePipeline):
    """Films that a user has not seen and may like."""

    inputs = sample = RECOMMEND_INPUTS

    def setup(self, device: str) -> None:
        """Open no store yet: it may be created after the server starts."""
        super().setup(device)
        self._current: Current | None = None

    def prepare(self, request: Request) -> Arrays:
        """Refuse a user id that is not text."""
        decode(request["user"], "user")
        return request.arrays

    def answer(self, catalogue: Catalogue, row: Mapping[str, Any]) -> bytes:
        """Return the best films for a user."""
        if self._current is None:
            self._current = Current(catalogue, store_place())
        user = row["user"].decode()
        recommender = self._current.recommender()
        notice = " ".join(filter(None, (catalogue.notice, self._current.notice)))
        return pack(recommender.recommend(user, int(row["k"])), f"for user {user}", notice)

    def example(self) -> dict[str, Array]:
        """Return a request for 0 films, which needs no store."""
        return {"user": _bytes(""), "k": np.array([0], np.int32)}


def _bytes(text: str) -> Array:
    return np.array([text.encode(), None], object)[:1]
