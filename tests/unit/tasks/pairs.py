"""A pipeline and its task, whose units are pairs of text files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from naiad import Budget, Pipeline, Tensor
from naiad.core.schema import BYTES
from naiad.tasks.task import Column, Draws, Found, Joins, Task, WritesFiles

Texts = tuple[bytes, ...]


class Pairs(Pipeline):
    """A pipeline that joins texts."""

    inputs = {"texts": Tensor(BYTES, ("texts",))}
    outputs = {"joined": Tensor(BYTES, ("requests",))}
    budget = Budget(texts=100)
    arrays = "numpy"
    mark = b"+"

    def forward(self, batch: Any) -> dict[str, Any]:
        ends = batch.sizes("texts").cumsum()
        parts = np.split(batch["texts"], ends[:-1])
        return {"joined": np.array([self.mark.join(part) for part in parts] + [None], object)[:-1]}


class Renamed(Pairs):
    """The same under another name, with another mark."""

    mark = b"-"


class PairsTask(Task[Texts, str], Joins[Texts], Draws, WritesFiles[Texts, str]):
    """Join texts."""

    name, pipeline = "pairs", "tests.unit.tasks.pairs:Pairs"
    unit, suffixes = "pairs", (".txt",)
    columns = (Column("files", fill="unit"), Column("joined"))

    def read(self, path: Path) -> Texts:
        return (super().read(path),)  # pyright: ignore

    def parts(self, card: Any) -> Sequence[str]:
        return "left", "right"

    def join(self, parts: Sequence[Texts]) -> Texts:
        return tuple(text for part in parts for text in part)

    def request(self, unit: Texts, options: Any) -> dict[str, Any]:
        return {"texts": np.array([*unit, None], object)[:-1]}

    def answer(self, unit: Texts, outputs: Any, card: Any) -> str:
        return outputs["joined"][0].decode()

    def rows(self, result: str) -> Iterator[Sequence[object]]:
        yield (result,)

    def files(self, unit: Texts, result: str, options: Any) -> Iterator[tuple[str, bytes]]:
        yield "_joined.txt", result.encode()

    def draw(self, found: Sequence[Found], path: Path, card: Any, options: Any) -> None:
        for one in found:
            path.write_bytes(b" and ".join(one.unit()))
