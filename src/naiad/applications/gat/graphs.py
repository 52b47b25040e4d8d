"""Citation graphs and their files: NumPy's ``.npz``, and the folder of the planetoid benchmark."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from naiad.applications.gat.schema import FEATURES
from naiad.core.schema import Array
from naiad.errors import InvalidInput

Ints = NDArray[np.int64]

_LARGEST: Final = 4 << 30
"""Maximum number of bytes of a file's unpacked arrays."""


def _none() -> Ints:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CitationGraph:
    """Papers with their words, citations and, if known, topics.

    Attributes:
        source: origin, in words.
        x: words of each paper: float32 ``[papers, FEATURES]``.
        edge_index: citations, from row 0 to row 1: int64 ``[2, citations]``.
        classes: names of the topics, if any.
        topics: of each paper, -1 if unknown: int64 ``[papers]``, or ``[0]``.
        train: training papers: int64.
        validation: validation papers, for early stopping: int64.
        test: test papers: int64.

    Raises:
        InvalidInput: an array does not fit the others; says which.
    """

    source: str
    x: NDArray[np.float32]
    edge_index: Ints
    classes: tuple[str, ...] = ()
    topics: Ints = field(default_factory=_none)
    train: Ints = field(default_factory=_none)
    validation: Ints = field(default_factory=_none)
    test: Ints = field(default_factory=_none)

    def __post_init__(self) -> None:
        papers = len(self.x)
        if self.x.shape != (papers, FEATURES):
            raise InvalidInput(f"x has shape {list(self.x.shape)}; it must be [papers, {FEATURES}]")
        if self.edge_index.ndim != 2 or len(self.edge_index) != 2:
            raise InvalidInput(
                f"edge_index has shape {list(self.edge_index.shape)}; it must be [2, citations]"
            )
        if self.topics.shape not in ((papers,), (0,)):
            raise InvalidInput(f"y has shape {list(self.topics.shape)}; it must be [{papers}]")
        if self.topics.size and not -1 <= self.topics.min() <= self.topics.max() < max(
            1, len(self.classes)
        ):
            wrong = self.topics.max() if self.topics.min() >= -1 else self.topics.min()
            raise InvalidInput(f"y has topic {wrong}; there are {len(self.classes)} topics")
        indices = {"edge_index": self.edge_index, "train_idx": self.train}
        indices |= {"val_idx": self.validation, "test_idx": self.test}
        for name, index in indices.items():
            if index.size and not 0 <= index.min() <= index.max() < papers:
                wrong = index.max() if index.min() >= 0 else index.min()
                raise InvalidInput(f"{name} names paper {wrong}; there are {papers:,} papers")

    def __len__(self) -> int:
        return len(self.x)

    def arrays(self, *, row_normalised: bool) -> dict[str, Array]:
        """Return the model's inputs, with features scaled if its weights need that."""
        x = normalise_rows(self.x) if row_normalised else self.x
        return {"x__0": x, "edgeindex__1": np.ascontiguousarray(self.edge_index)}


def normalise_rows(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to sum to 1, except rows of zeros."""
    total = x.sum(axis=1, keepdims=True)
    return np.asarray(x / np.where(total == 0, np.float32(1), total), np.float32)


def read_graph(path: Path) -> CitationGraph:
    """Read a graph from an ``.npz`` file, or from a folder with planetoid's ``ind.cora.*``.

    Raises:
        InvalidInput: it cannot be read, or is not such a graph; says why.
    """
    if path.is_dir():
        from naiad.applications.gat.planetoid import read_planetoid

        return read_planetoid(path)
    try:
        # Opened here, as NumPy would leave a file open that is not an archive.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            _check_size(path)
            return _from_arrays(file, path.name)
    except KeyError as error:
        raise InvalidInput(f"{path}: {error.args[0]}") from None
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{path}: cannot be read as an .npz file ({error})") from error
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def write_graph(path: Path, graph: CitationGraph) -> None:
    """Write a graph as ``.npz``, with sparse features."""
    rows, columns = np.nonzero(graph.x)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            source=np.array(graph.source),
            x_indptr=np.searchsorted(rows, np.arange(len(graph) + 1)).astype(np.int64),
            x_indices=columns.astype(np.int32),
            x_data=graph.x[rows, columns],
            x_shape=np.array(graph.x.shape, np.int64),
            edge_index=graph.edge_index.astype(np.int32),
            y=graph.topics,
            classes=np.array(graph.classes, dtype=str),
            train_idx=graph.train,
            val_idx=graph.validation,
            test_idx=graph.test,
        )


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _LARGEST:
        raise InvalidInput(f"it unpacks to {size:,} bytes; a graph has at most {_LARGEST:,}")


def _from_arrays(file: Mapping[str, Any], name: str) -> CitationGraph:
    def ints(key: str) -> Ints:
        return file[key].astype(np.int64, casting="safe") if key in file else _none()

    if "edge_index" not in file or not ("x" in file or "x_indptr" in file):
        raise KeyError(
            f"has {', '.join(file) or 'no arrays'}; a graph needs x [papers, {FEATURES}] (or "
            "x_indptr, x_indices and x_shape) and edge_index [2, citations]"
        )
    return CitationGraph(
        source=str(file["source"]) if "source" in file else name,
        x=file["x"].astype(np.float32) if "x" in file else _dense(file),
        edge_index=ints("edge_index"),
        classes=tuple(str(c) for c in file["classes"]) if "classes" in file else (),
        topics=ints("y"),
        train=ints("train_idx"),
        validation=ints("val_idx"),
        test=ints("test_idx"),
    )


def _dense(file: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return dense features from a file with sparse ones (CSR)."""
    rows, columns = (int(size) for size in file["x_shape"])
    starts, indices = file["x_indptr"].astype(np.int64), file["x_indices"].astype(np.int64)
    values = file["x_data"] if "x_data" in file else np.ones(len(indices), np.float32)
    if columns != FEATURES or len(starts) != rows + 1 or rows * columns * 4 > _LARGEST:
        raise InvalidInput(
            f"x_shape is {[rows, columns]} and x_indptr has {len(starts)} values; they must be "
            f"[papers, {FEATURES}] and papers + 1"
        )
    lengths = np.diff(starts)
    if starts[0] != 0 or (lengths < 0).any() or not (starts[-1] == len(indices) == len(values)):
        raise InvalidInput(
            f"x_indptr must rise from 0 to {len(indices):,}, the length of x_indices and x_data"
        )
    if indices.size and not 0 <= indices.min() <= indices.max() < columns:
        raise InvalidInput(
            f"x_indices are {indices.min()} to {indices.max()}; they must be 0 to {columns - 1}"
        )
    x = np.zeros((rows, columns), np.float32)
    x[np.repeat(np.arange(rows), lengths), indices] = values
    return x
