"""Vectors are written whole, or an error says why not."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from naiad.applications.text.embedding.task import TextEmbeddingTask
from naiad.errors import NaiadError
from naiad.tasks.output import Output

CARD = {"dimension": "384"}


def output(path: Path) -> Output:
    return Output(TextEmbeddingTask(), path, CARD, TextEmbeddingTask.Options())


def write_two(path: Path) -> None:
    with output(path) as written:
        for _ in range(2):
            written.add("text", "", np.zeros(384, np.float32))


def test_a_file_has_a_row_per_text(tmp_path: Path) -> None:
    vectors = np.arange(3 * 384, dtype=np.float32).reshape(3, 384)
    for suffix in (".npy", ".csv"):
        with output(tmp_path / f"v{suffix}") as written:
            for number, vector in enumerate(vectors):
                written.add(f"text {number}", "", vector)
    assert np.array_equal(np.load(tmp_path / "v.npy"), vectors)
    header, first, *_ = (tmp_path / "v.csv").read_text().splitlines()
    assert header.split(",")[:3] == ["text", "vector_0", "vector_1"]
    assert first.split(",")[:3] == ["text 0", "0", "1"]


def test_a_file_that_cannot_be_finished_is_not_under_its_name(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(NaiadError, match=r"v\.npy cannot be written: File too large"):
            write_two(tmp_path / "v.npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "v.npy").exists()
