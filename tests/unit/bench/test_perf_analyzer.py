from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from naiad.bench.perf_analyzer import write_requests
from naiad.errors import NaiadError


def written(path: Path, *requests: dict[str, Any], batched: bool = False) -> list[Any]:
    count = write_requests(path, requests, batched=batched)
    found = json.loads(path.read_text())["data"]
    assert len(found) == count
    return found


def test_numbers_are_lists_that_keep_every_bit(tmp_path: Path):
    values = np.array([[0.1, np.inf, np.nan], [1e-45, -0.0, 3]], np.float32)
    large = np.array([2**63 + 1], np.uint64)
    arrays = {"x": values, "n": large, "flag": np.array([True])}
    (step,) = written(tmp_path / "data.json", arrays)
    assert step["x"]["shape"] == [2, 3]
    again = np.array(step["x"]["content"], np.float32).reshape(2, 3)
    assert again.tobytes() == values.tobytes()
    assert step["n"]["content"] == [2**63 + 1]
    assert step["flag"]["content"] == [True]


def test_bytes_and_half_floats_are_in_base64(tmp_path: Path):
    half = np.array([0.5, 2], np.float16)
    files = np.array([[b"a\0b"], [b""]], object)
    (step,) = written(tmp_path / "data.json", {"half": half, "files": files})
    assert step["half"] == {"b64": base64.b64encode(half.tobytes()).decode(), "shape": [2]}
    sent = b"\3\0\0\0a\0b\0\0\0\0"
    assert step["files"] == {"b64": base64.b64encode(sent).decode(), "shape": [2, 1]}


def test_without_elements_there_is_an_empty_list(tmp_path: Path):
    (step,) = written(tmp_path / "data.json", {"files": np.empty((0, 1), object)})
    assert step["files"] == {"content": [], "shape": [0, 1]}


def test_each_row_of_a_batch_is_a_request(tmp_path: Path):
    batch = {"x": np.arange(6).reshape(3, 2), "file": np.array([b"a", b"b", b"c"], object)}
    first, *others = written(tmp_path / "data.json", batch, batched=True)
    assert len(others) == 2
    assert first["x"] == {"content": [0, 1], "shape": [2]}
    assert first["file"]["shape"] == []


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "data.json").mkdir()
    with pytest.raises(NaiadError, match="cannot be written"):
        write_requests(tmp_path / "data.json", [{"x": np.zeros(2)}])
    assert [path.name for path in tmp_path.iterdir()] == ["data.json"]
