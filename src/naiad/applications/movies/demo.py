"""The demo: load the sample of films, embed it with a served model, and query it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from naiad.applications.movies.commands import Question, ask, embed_store, load_store
from naiad.applications.movies.embedding import MODEL
from naiad.applications.movies.graph import DIMENSION
from naiad.applications.movies.place import VARIABLE
from naiad.console import errors
from naiad.triton.serving import serve

_ASKED: tuple[tuple[Literal["similar", "search", "recommend"], str], ...] = (
    ("similar", "The Moon Job"),
    ("search", "a heist in space"),
    ("recommend", "42"),
)
_ANY = {"genre": "", "first_year": 0, "last_year": 0}


def run(directory: Path) -> None:
    """Load, serve, embed, ask, draw and shut down; the store and a plot go to ``directory``.

    Raises:
        NaiadError: a step fails.
    """
    directory.mkdir(parents=True, exist_ok=True)
    place = str(directory / "films")
    load_store(None, place, DIMENSION, force=True)
    models = [f"movies_{kind}" for kind, _ in _ASKED]
    with _served_store(place):
        with errors.status("starting Triton"):
            server = serve(MODEL, *models, instances=1, http_port=0, grpc_port=0, metrics_port=0)
        with server:
            embed_store(place, server.grpc_url, concurrency=4)
            for kind, subject in _ASKED:
                ask(
                    Question(
                        kind,
                        subject,
                        k=3,
                        place=None,
                        url=server.grpc_url,
                        output=None,
                        plot=directory / "recommended.png" if kind == "recommend" else None,
                        force=True,
                        filters=_ANY if kind == "search" else {},
                    )
                )


@contextmanager
def _served_store(place: str) -> Generator[None]:
    """Set the store for servers started within the block."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = place
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before
