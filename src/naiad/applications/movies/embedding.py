"""Embeddings of all films' descriptions, by the served model, into the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from naiad.applications.movies.graph import ENCODER, VECTOR, description
from naiad.applications.store import Key, Writer, write_store
from naiad.applications.text.embedding.client import TextEmbeddingClient
from naiad.applications.text.embedding.task import TextEmbeddingTask
from naiad.client import Client
from naiad.errors import InvalidInput

MODEL: Final = "text_embedding"


def embed_films(
    place: str,
    client: Client,
    advance: Callable[[int, int], None],
    *,
    chunk: int = 128,
    publish_seconds: float = 10.0,
    concurrency: int = 4,
) -> int:
    """Embed the films of a store that have no embedding yet; how many those were.

    What is done is published from time to time, and when the work is interrupted; so others see
    it while it goes on, and the next call goes on from there.

    Args:
        place: the store.
        client: of a server with the model ``text_embedding``.
        advance: is told how many are done, and of how many.
        chunk: films at once: enough to keep a server busy, few enough to lose little.
        publish_seconds: how often what is done is published.
        concurrency: requests with the server at once.

    Raises:
        StoreError: there is no store, or another process writes to it.
        InvalidInput: the store has embeddings of another encoder, or room for another length.
        NaiadError: the server does not answer.
    """
    model: TextEmbeddingClient = TextEmbeddingTask.client_of(client.model(MODEL))
    name, dimension = model.card["encoder"], int(model.card["dimension"])
    with write_store(place) as writer:
        _check_encoder(writer, name, dimension)
        missing = writer.missing("Movie", VECTOR)
        published = time.monotonic()
        advance(0, len(missing))
        try:
            for start in range(0, len(missing), chunk):
                _embed(writer, model, missing[start : start + chunk], concurrency)
                if time.monotonic() - published > publish_seconds:
                    writer.publish()
                    published = time.monotonic()
                advance(min(start + chunk, len(missing)), len(missing))
        except BaseException:
            writer.publish()
            raise
    return len(missing)


def _check_encoder(writer: Writer, name: str, dimension: int) -> None:
    import pyarrow as pa

    length = writer.schema.node("Movie").length_of(VECTOR)
    if dimension != length:
        raise InvalidInput(
            f"{name} gives vectors of {dimension}; the store has room for {length}: load the films "
            f"again with --dimension {dimension}"
        )
    (about,) = writer.get("About", [ENCODER])
    if about is None:
        writer.load_nodes("About", pa.table({"id": [ENCODER], "text": [name]}))
    elif about["text"] != name:
        raise InvalidInput(
            f"the store has embeddings by {about['text']}, the server has {name}; load the films "
            "again to embed them by another"
        )


def _embed(writer: Writer, model: TextEmbeddingClient, keys: list[Key], concurrency: int) -> None:
    films = [film for film in writer.get("Movie", keys) if film is not None]
    texts = [description(film) for film in films]
    vectors = model.embed(texts, concurrency=concurrency)
    writer.set_vectors("Movie", VECTOR, [film["id"] for film in films], vectors)
