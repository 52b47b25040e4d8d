"""What the network says of a citation graph, and files of it: ``.csv``, ``.parquet``, ``.npz``."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.gat.graphs import CitationGraph, Ints
from naiad.applications.gat.schema import CLASSES
from naiad.errors import MissingExtra, NaiadError, PipelineError

SUFFIXES: Final = (".csv", ".parquet", ".npz")


@dataclass(frozen=True, slots=True)
class Labels:
    """What the server says of its weights.

    Attributes:
        classes: name of each column of the scores.
        row_normalised: whether features must be scaled to sum to 1 per row.
        trained_on: the data, in words, or "".
        notice: what every user must know of them, or "".
    """

    classes: tuple[str, ...]
    row_normalised: bool = True
    trained_on: str = ""
    notice: str = ""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Labels:
        """Read the parameters of a model's configuration; what is not there gets a default."""
        names = parameters.get("classes") or ",".join(f"topic {i}" for i in range(CLASSES))
        classes = tuple(names.split(","))
        if len(classes) != CLASSES:
            raise PipelineError(f"the server names {len(classes)} classes; there are {CLASSES}")
        return cls(
            classes=classes,
            row_normalised=parameters.get("row_normalised", "true") == "true",
            trained_on=parameters.get("trained_on", ""),
            notice=parameters.get("notice", ""),
        )


@dataclass(frozen=True, eq=False)
class GatResult:
    """The topic of each paper of a graph.

    Attributes:
        graph: what was asked about.
        logits: scores before softmax: float32 ``[papers, CLASSES]``.
        labels: what the server says of its weights.
    """

    graph: CitationGraph
    logits: NDArray[np.float32]
    labels: Labels

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Of each topic for each paper: float32 ``[papers, CLASSES]``; rows sum to 1."""
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
        """How many papers each topic has, by its name."""
        counts = np.bincount(self.topics, minlength=CLASSES).tolist()
        return dict(zip(self.labels.classes, counts, strict=True))

    @property
    def comparable(self) -> bool:
        """Whether the graph's own topics are those that the network knows."""
        return bool(self.graph.topics.size) and self.graph.classes == self.labels.classes

    def accuracy(self) -> tuple[float, int] | None:
        """Share of right topics among papers whose topic is known, and how many those are.

        Papers to test with where the graph names such, else all; None where nothing is known.
        """
        if not self.comparable:
            return None
        chosen = self.graph.test if self.graph.test.size else np.arange(len(self.graph))
        chosen = chosen[self.graph.topics[chosen] >= 0]
        if not chosen.size:
            return None
        return float((self.topics == self.graph.topics)[chosen].mean()), len(chosen)


def check_format(path: Path) -> None:
    """Make sure that a result can be written to a file of this name.

    Raises:
        NaiadError: the suffix names no format, or the package for it is missing.
    """
    if path.suffix not in SUFFIXES:
        raise NaiadError(f"{path}: results are written as {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        _pyarrow()


def write_result(path: Path, result: GatResult) -> None:
    """Write one row per paper; the suffix of ``path`` says how.

    CSV and Parquet have ``paper``, ``topic``, ``confidence`` and the probability of each topic
    under its name; Parquet has the weights' notice in its metadata. ``.npz`` has ``topics``,
    ``probabilities``, ``logits``, ``classes`` and ``notice``.
    """
    check_format(path)
    if path.suffix == ".npz":
        with path.open("wb") as file:
            np.savez_compressed(
                file,
                topics=result.topics,
                probabilities=result.probabilities,
                logits=result.logits,
                classes=np.array(result.labels.classes),
                notice=np.array(result.labels.notice),
            )
        return
    names = result.labels.classes
    columns: dict[str, Any] = {
        "paper": np.arange(len(result.graph)),
        "topic": [names[topic] for topic in result.topics],
        "confidence": result.confidence,
        **{name: result.probabilities[:, number] for number, name in enumerate(names)},
    }
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        return
    pyarrow, parquet = _pyarrow()
    facts = {"notice": result.labels.notice, "trained_on": result.labels.trained_on}
    table = pyarrow.table(columns).replace_schema_metadata({"naiad": json.dumps(facts)})
    parquet.write_table(table, path)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtra("gat", "pyarrow") from error
    return pyarrow, parquet
