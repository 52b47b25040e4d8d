"""Tensors typed as JSON, or in files, and the files of answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from naiad.errors import InvalidInput
from naiad.ui.downloads import write_npz
from naiad.ui.tensors import as_json, example_tensors, from_json, from_npz, output_arrays

METADATA = {
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "text", "datatype": "BYTES", "shape": [1]},
    ]
}


def test_the_example_is_read_back() -> None:
    example = example_tensors(METADATA)
    read = from_json(as_json(example), METADATA)
    assert read["x"].dtype == np.float32
    assert read["x"].shape == (3, 2)
    assert read["text"].tolist() == ["text"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the tensors are not JSON"),
        ("[1]", "must be a JSON object"),
        ('{"y": [1]}', "unknown input 'y'; inputs: x, text"),
        ('{"x": [[1, 2], [3]]}', "x is not a tensor of FP32"),
        ('{"x": ["a"]}', "x is not a tensor of FP32"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        from_json(text, METADATA)


def test_arrays_of_any_name_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    names = ["file", "../up", "a/b", "a_b", ""]
    write_npz(path, {name: np.arange(number) for number, name in enumerate(names)})
    read = from_npz(path)
    assert [len(array) for array in read.values()] == [0, 1, 2, 3, 4]
    assert not any("/" in name or name.startswith(".") for name in read)


def test_files_with_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{}], object))
    with pytest.raises(InvalidInput, match=r"a\.npz is not an \.npz file of arrays"):
        from_npz(path)
    path.write_text("dear Lena")
    with pytest.raises(InvalidInput, match=r"a\.npz is not an \.npz file of arrays"):
        from_npz(path)


def test_texts_become_unicode() -> None:
    texts = output_arrays({"t": np.array([[b"a", b"\xff"]], object)})["t"]
    assert texts.tolist() == [["a", "\N{REPLACEMENT CHARACTER}"]]
