"""Zero-shot classification for people: texts and labels in, labels by score out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np

from naiad.applications.text.embedding.texts import encode
from naiad.client import ModelClient
from naiad.client.ordered_map import ask_many
from naiad.core.schema import Array
from naiad.errors import NaiadError


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels of one text, the best first.

    Attributes:
        labels: all that were asked for.
        scores: of each, 0 to 1.
        truncated: whether the end of the text was not read.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    truncated: bool = False

    @property
    def label(self) -> str:
        """The best label."""
        return self.labels[0]

    @property
    def score(self) -> float:
        """The best label's score."""
        return self.scores[0]


class ZeroShotClient:
    """Asks a served ``zero_shot``; from ``client.zero_shot``, where ``client`` is a `naiad.Client`.

    Example::

        with naiad.Client("localhost:8001") as client:
            texts = ["Who are you voting for 2021?"]
            for found in client.zero_shot.infer(texts, ["business", "science", "politics"]):
                print(found.label, found.score)
    """

    def __init__(self, model: ModelClient) -> None:
        """Ask the model that ``model`` is a client of."""
        self.model = model

    def __repr__(self) -> str:
        """The class and the server."""
        return f"ZeroShotClient({self.model!r})"

    def notice(self) -> str:
        """What every user must know of the served network, or ""."""
        return self.model.notice()

    def infer(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        hypothesis_template: str = "",
        multi_label: bool = False,
        timeout: float | None = None,
    ) -> list[Classification]:
        """Classify some texts in one request; one that is refused fails them all.

        Args:
            texts: what is to be classified.
            labels: what each may be, all different.
            hypothesis_template: a sentence with ``{}`` for the label; by default the network's own.
            multi_label: several labels may fit, or none: each is scored by itself. Else the scores
                of a text add up to 1.
            timeout: seconds, instead of the client's.

        Raises:
            InvalidInput: there is no label, one is there twice, or a text or label is empty; says
                which.
            NaiadError: as of `naiad.Client`.
        """
        request = as_request(texts, labels, hypothesis_template, multi_label)
        answer = self.model.infer(request, timeout=timeout)
        return [
            _ranked(labels, scores, truncated)
            for scores, truncated in zip(answer["scores"], answer["truncated"], strict=True)
        ]

    @overload
    def infer_many(
        self,
        texts: Iterable[str],
        labels: Sequence[str],
        *,
        hypothesis_template: str = "",
        multi_label: bool = False,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Classification]: ...

    @overload
    def infer_many(
        self,
        texts: Iterable[str],
        labels: Sequence[str],
        *,
        hypothesis_template: str = "",
        multi_label: bool = False,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["return"],
    ) -> Iterator[Classification | NaiadError]: ...

    def infer_many(
        self,
        texts: Iterable[str],
        labels: Sequence[str],
        *,
        hypothesis_template: str = "",
        multi_label: bool = False,
        concurrency: int = 8,
        progress: bool = False,
        timeout: float | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Any]:
        """Classify many texts, one per request; yields the results in order, as they come.

        Args:
            texts: taken as they are needed, so there may be any number of them.
            labels: what each may be.
            hypothesis_template: as of :meth:`infer`.
            multi_label: as of :meth:`infer`.
            concurrency: how many are with the server at once, which batches them.
            progress: show a progress bar on standard error.
            timeout: seconds per text, instead of the client's.
            on_error: "raise" ends at the first text that fails; "return" yields its error in its
                place and goes on.
        """

        def ask(text: str) -> Classification:
            (found,) = self.infer(
                [text],
                labels,
                hypothesis_template=hypothesis_template,
                multi_label=multi_label,
                timeout=timeout,
            )
            return found

        return ask_many(
            ask,
            texts,
            label=self.model.name,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )


def as_request(
    texts: Sequence[str],
    labels: Sequence[str],
    hypothesis_template: str = "",
    multi_label: bool = False,
) -> dict[str, Array]:
    """The tensors of a request."""
    return {
        "text": encode(texts, "text"),
        "labels": encode(labels, "labels"),
        "hypothesis_template": encode([hypothesis_template], "hypothesis_template"),
        "multi_label": np.array([multi_label]),
    }


def _ranked(labels: Sequence[str], scores: Array, truncated: bool) -> Classification:
    order = np.argsort(-scores, kind="stable")
    ranked: list[str] = [labels[int(number)] for number in order]
    return Classification(tuple(ranked), tuple(scores[order].tolist()), bool(truncated))
