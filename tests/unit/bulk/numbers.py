"""An application of plain numbers for bulk processing: small files, and a server in this process.

An input is a text file with a number per line; the model ``half`` of tests/unit/client/servers.py
answers with the first half of its input, so ``[n, n]`` gives ``[n]``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from naiad.core.pipeline import Pipeline, Request
from naiad.core.schema import Array, Arrays, Tensor
from naiad.errors import InvalidInput, PipelineError


@dataclass(frozen=True)
class Numbers:
    """Files ``.txt`` in, ``.json`` out, with requests and answers."""

    unit: ClassVar[str] = "numbers"
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    example: ClassVar[str] = "*.txt"

    refused: float = field(default=-1.0, metadata={"help": "A number that is not asked about."})
    pause: float = field(default=0.0, metadata={"help": "Seconds that each number takes."})

    def find(self, path: Path) -> Iterator[Path]:
        yield from sorted(path.rglob("*.txt")) if path.is_dir() else [path]

    def fingerprint(self, path: Path) -> str:
        return f"{path.stat().st_size} bytes"

    def open(self, path: Path) -> Lines:
        return Lines(path)

    def request(self, item: float, metadata: Mapping[str, str]) -> Request:
        if item == self.refused:
            raise InvalidInput(f"{item:g} is refused")
        time.sleep(self.pause)
        return Request({"x": np.array([item, item], np.float32)})

    def writer(self, path: Path, metadata: Mapping[str, str]) -> Pairs:
        return Pairs(path)

    def named_options(self) -> dict[str, Any]:
        return asdict(self)

    def merge(self, parts: Sequence[Path], path: Path, provenance: Mapping[str, Any]) -> None:
        pairs = [pair for part in parts for pair in json.loads(part.read_text())]
        path.write_text(json.dumps({"provenance": provenance, "pairs": pairs}))


class Lines:
    def __init__(self, path: Path) -> None:
        try:
            self._lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path} is no text: {error}") from None

    def __len__(self) -> int:
        return len(self._lines)

    def read(self, numbers: range) -> Iterator[tuple[str, float | Exception]]:
        for number in numbers:
            line = self._lines[number]
            try:
                yield f"line {number + 1}", float(line)
            except ValueError:
                yield f"line {number + 1}", InvalidInput(f"{line!r} is no number")

    def close(self) -> None:
        pass


class Pairs:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._pairs: list[tuple[float, float]] = []

    def add(self, name: str, item: float, outputs: Arrays) -> None:
        (answer,) = outputs["y"].tolist()
        if answer < 0:
            raise PipelineError(f"{answer:g} is no answer")
        self._pairs.append((item, answer))

    def close(self) -> None:
        if self._pairs:
            self._path.write_text(json.dumps(self._pairs))


class HalfPipeline(Pipeline):
    """The model ``half``, as a pipeline."""

    inputs = {"x": Tensor("float32", ("numbers",))}
    outputs = {"y": Tensor("float32", ("requests",))}
    arrays = "numpy"

    def forward(self, batch: Any) -> dict[str, Array]:
        first = np.cumsum([0, *batch.sizes("numbers")])[:-1]
        return {"y": batch["x"][first]}


def write_numbers(path: Path, numbers: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{number}\n" for number in numbers))
    return path


def read_pairs(path: Path) -> list[tuple[float, float]]:
    return [tuple(pair) for pair in json.loads(path.read_text())["pairs"]]


def read_provenance(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["provenance"]
