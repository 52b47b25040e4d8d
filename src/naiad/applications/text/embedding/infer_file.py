"""Many texts through a server: their vectors to a file, and who is like the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.markup import escape

from naiad.applications.text.embedding.client import TextEmbeddingClient
from naiad.applications.text.embedding.files import read_lines
from naiad.cli.connect import connected
from naiad.console import print_bars, refuse_existing, say, say_notice
from naiad.errors import InvalidInput

MODEL: Final = "text_embedding"

_SHOWN = 10  # texts that are compared with the first
_LETTERS = 60  # of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do with some texts.

    Attributes:
        texts: given as they are.
        files: with a text per line; ``-`` is standard input.
        output: file for the vectors, ``.npy``.
        concurrency: requests with the server at once.
        timeout: seconds per request.
        force: overwrite output.
    """

    texts: Sequence[str]
    files: Sequence[Path]
    output: Path | None = None
    concurrency: int = 4
    timeout: float = 60.0
    force: bool = False


def embed_texts(job: Job, url: str | None, weights: Path | None = None) -> None:
    """Run the job on the server at ``url``, or on one that is started for it with ``weights``.

    Raises:
        Unavailable: no server is there; says how to start one.
        NaiadError: there is no text, one is refused, or the output exists.
    """
    if job.output is not None:
        if job.output.suffix != ".npy":
            raise InvalidInput(f"{job.output}: vectors are written as .npy")
        refuse_existing(job.output, job.force)
    texts = [*job.texts, *read_lines(job.files)]
    if not texts:
        raise InvalidInput("there is no text; give one, or a file with one per line")
    with connected(MODEL, url, timeout=job.timeout, weights=weights) as client:
        model = TextEmbeddingClient(client.model(MODEL))
        notice = model.parameter("notice")
        vectors = model.embed(texts, concurrency=job.concurrency, progress=True)
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = (units @ units[0]).tolist()
    ranked = sorted(range(1, len(texts)), key=lambda number: -cosines[number])[:_SHOWN]
    say(f"{len(texts):,} texts, {vectors.shape[1]} numbers each")
    if ranked:
        say(f"like [bold]{escape(texts[0][:_LETTERS])}[/] are, by cosine:")
        shares = [cosines[number] for number in ranked]
        print_bars([texts[number][:_LETTERS] for number in ranked], shares)
    say_notice(notice)
    if job.output is not None:
        np.save(job.output, vectors)
        say(f"wrote [bold]{escape(str(job.output))}[/]")
