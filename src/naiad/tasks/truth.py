"""Comparison of answers with the truth, where the inputs of an application have it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, Protocol

from naiad.tasks.task import Source, Unit


class Comparison(Protocol):
    """Answers compared with the truth, summed up."""

    def add(self, unit: Any, result: Any) -> None:
        """Compare one more result; a unit without truth is only counted."""
        ...

    def print(self) -> None:
        """Print the comparison."""
        ...


class HasTruth(ABC, Generic[Unit]):
    """An application whose inputs may have the truth: ``naiad infer NAME --truth``.

    A field ``truth`` of ``DrawOptions`` has the value of that option, too.
    """

    @abstractmethod
    def open_with_truth(self, path: Path) -> Source[Unit]:
        """Open an input like `Opens.open`, with the truth of its units.

        Raises:
            InvalidInput: it cannot be read.
        """

    @abstractmethod
    def comparison(self, card: Any) -> Comparison:
        """Return an empty comparison for the answers of a model, whose card is given."""
