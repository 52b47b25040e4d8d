"""Topics of the papers of a citation graph, and ``.npz`` files of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from naiad.applications.gat.graphs import CitationGraph, Ints
from naiad.applications.gat.schema import CLASSES
from naiad.core.schema import Array
from naiad.errors import NaiadError, PipelineError
from naiad.tasks.notebook import Shown
from naiad.tasks.task import Json


@dataclass(frozen=True, slots=True)
class Labels:
    """A server's description of its weights.

    Attributes:
        classes: name of each column of the scores.
        row_normalised: whether features must be scaled to sum to 1 per row.
        trained_on: the data, in words, or "".
        notice: what every user of the weights must know, or "".
    """

    classes: tuple[str, ...]
    row_normalised: bool = True
    trained_on: str = ""
    notice: str = ""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Labels:
        """Read the parameters of a model's configuration; missing ones get defaults."""
        names = parameters.get("classes") or ",".join(f"topic {i}" for i in range(CLASSES))
        classes = tuple(names.split(","))
        if len(classes) != CLASSES:
            raise PipelineError(f"the server names {len(classes)} classes; it must have {CLASSES}")
        return cls(
            classes=classes,
            row_normalised=parameters.get("row_normalised", "true") == "true",
            trained_on=parameters.get("trained_on", ""),
            notice=parameters.get("notice", ""),
        )


@dataclass(frozen=True, eq=False, repr=False)
class GatResult(Shown):
    """The topic of each paper of a graph.

    Attributes:
        graph: the graph of the request.
        logits: scores before softmax: float32 ``[papers, CLASSES]``.
        labels: the server's description of its weights.
    """

    graph: CitationGraph
    logits: NDArray[np.float32]
    labels: Labels

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Probability of each topic for each paper: float32 ``[papers, CLASSES]``."""
        power = np.exp(self.logits - self.logits.max(axis=1, keepdims=True, initial=-np.inf))
        return power / power.sum(axis=1, keepdims=True)

    @cached_property
    def topics(self) -> Ints:
        """The most probable topic of each paper: int64 ``[papers]``."""
        return self.logits.argmax(axis=1).astype(np.int64)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of each paper's topic: float32 ``[papers]``."""
        return self.probabilities.max(axis=1, initial=0)

    def counts(self) -> dict[str, int]:
        """Return the number of papers by topic name."""
        counts = np.bincount(self.topics, minlength=CLASSES).tolist()
        return dict(zip(self.labels.classes, counts, strict=True))

    @property
    def comparable(self) -> bool:
        """True if the graph's own topics are those of the network."""
        return bool(self.graph.topics.size) and self.graph.classes == self.labels.classes

    def accuracy(self) -> tuple[float, int] | None:
        """Return the share of right topics among papers with a known topic, and their number.

        Takes the test papers if the graph has some, else all; None if no topic is known.
        """
        if not self.comparable:
            return None
        chosen = self.graph.test if self.graph.test.size else np.arange(len(self.graph))
        chosen = chosen[self.graph.topics[chosen] >= 0]
        if not chosen.size:
            return None
        return float((self.topics == self.graph.topics)[chosen].mean()), len(chosen)

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of an ``.npz`` file."""
        return {
            "topics": self.topics,
            "probabilities": self.probabilities,
            "logits": self.logits,
            "classes": np.array(self.labels.classes),
            "notice": np.array(self.labels.notice),
        }


class GraphFile:
    """A `Writer` of one graph's results as ``.npz``.

    It has ``topics``, ``probabilities``, ``logits``, ``classes`` and ``notice``.
    """

    def __init__(self, task: Any, path: Path, card: Any) -> None:
        """Open the file; the result is written when it is closed.

        Raises:
            OSError: the file cannot be written.
        """
        self._file = path.open("wb")
        self._result: GatResult | None = None
        self.written = 0

    def add(self, name: str, unit: Any, result: GatResult) -> None:
        """Add the result of the graph.

        Raises:
            NaiadError: the file already has one.
        """
        if self._result is not None:
            raise NaiadError(
                f"{name}: an .npz file holds one graph's topics; write the results to a folder"
            )
        self._result = result

    def close(self) -> None:
        """Write the file."""
        result, self._result = self._result, None
        if not self._file.closed:
            with self._file as file:
                if result is not None:
                    np.savez_compressed(file, allow_pickle=False, **result.arrays())
                    self.written = 1

    @staticmethod
    def merge(task: Any, parts: Sequence[Path], path: Path, provenance: Json) -> None:
        """Write the only part, with its provenance."""
        (part,) = parts
        with np.load(part) as file:
            arrays = {**file, "provenance": np.array(json.dumps(provenance))}
        with path.open("wb") as merged:
            np.savez_compressed(merged, allow_pickle=False, **arrays)
