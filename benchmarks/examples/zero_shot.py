"""Labels for texts: the notebook's client embeds a text and its labels, and compares them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.examples.case import Case, Way, Ways, within
from benchmarks.examples.encoder import EncoderClient, save
from benchmarks.examples.repository import FREE, example_server

import naiad
from naiad.applications.text.embedding.simulate import simulated_texts
from naiad.applications.text.zero_shot.classifier import SCALE, softmax
from naiad.applications.text.zero_shot.question import as_request
from naiad.core.schema import Arrays

LABELS = ("business", "space and science", "politics")

_TEXTS = 32


@contextmanager
def start(scratch: Path, small: bool) -> Iterator[Ways]:
    texts = list(simulated_texts(4 if small else _TEXTS))
    with (
        example_server("deepset", "torchscript.py", {"file": str(save(scratch))}, small=small) as (
            example,
            model,
        ),
        naiad.serve("zero_shot", **FREE) as ours,
    ):
        embed = EncoderClient(model)

        async def ask(client: naiad.AsyncClient, text: str) -> Arrays:
            vectors = await embed(client, [text, *LABELS])
            # The notebook prints the cosines; Naiad's softmax of them costs nothing beside.
            return {"scores": softmax(SCALE * (vectors[:1] @ vectors[1:].T))}

        yield Ways(
            Way(example, texts, ask),
            Way.plain(ours, "zero_shot", [as_request([text], LABELS) for text in texts]),
            f"{len(texts)} simulated texts, most of 15 to 60 tokens, all-MiniLM-L6-v2",
        )


CASES = (
    Case(
        "zero_shot",
        f"zero-shot classification, {len(LABELS)} labels",
        "a TorchScript encoder; the client pads the text and its labels to 256 tokens each, sends "
        "them together, and averages and compares the vectors",
        start,
        within(1e-4, ("scores", "scores")),
        5.0,
    ),
)
