"""Files whose edits reload a model."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from naiad.core.pipeline import load_pipeline
from naiad.errors import SchemaError
from naiad.triton.rebuild import Order
from naiad.triton.reloading import Edited, Reloading
from naiad.triton.sources import imported_by, watched

SOURCE = """\
import torch_geometric.nn
import naiad
import helper

class M(naiad.Pipeline):
    inputs = {"x": naiad.Tensor("float32", ("n",))}
    outputs = {"y": naiad.Tensor("float32", ("n",))}
    weights = "weights"
    files = ("words.txt",)
"""


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    source = tmp_path / "my.py"
    source.write_text(SOURCE.replace("import torch_geometric.nn\n", ""))
    (tmp_path / "helper").mkdir()
    (tmp_path / "helper" / "__init__.py").write_text("import json, later\n")
    (tmp_path / "later.py").write_text("")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "part").write_text("1")
    (tmp_path / "words.txt").write_text("")
    order = Order(f"{source}:M", "m", str(tmp_path / "models"), {})
    return Edited(order, source, watched(load_pipeline(order.pipeline), source))


@pytest.mark.parametrize(
    "name",
    [
        *("my.py", "helper/__init__.py", "helper/new.py", "later.py", "json.py"),
        *("weights/part", "words.txt"),
    ],
)
def test_an_edit_is_a_change_once_it_has_ended(edited: Edited, tmp_path: Path, name: str) -> None:
    assert not edited.changed()
    (tmp_path / name).write_text("1 +")
    assert not edited.changed(), "it may be half written"
    (tmp_path / name).write_text("1 + 1")
    assert not edited.changed()
    assert edited.changed()
    assert not edited.changed()
    (tmp_path / name).unlink()
    assert [edited.changed() for _ in range(3)] == [False, True, False]


def test_files_beside_that_are_not_used_are_no_change(edited: Edited, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("")
    (tmp_path / "helper" / "__pycache__").mkdir()
    (tmp_path / "helper" / "__pycache__" / "x.pyc").write_text("")
    assert [edited.changed() for _ in range(3)] == [False] * 3
    edited.add({tmp_path / "other.py"}, time.time_ns() + 10**9)
    assert [edited.changed() for _ in range(3)] == [False] * 3
    (tmp_path / "new.py").write_text("")
    edited.add({tmp_path / "new.py"}, 0)
    assert [edited.changed() for _ in range(3)] == [False, True, False]


def test_imports_are_those_of_the_file_and_of_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(SOURCE)
    (tmp_path / "helper.py").write_text("from pandas.core import frame\n")
    assert imported_by(tmp_path / "my.py") == {"torch_geometric", "naiad", "helper", "pandas"}


def test_a_pipeline_of_a_package_alone_cannot_be_reloaded(tmp_path: Path) -> None:
    kind = load_pipeline("simple")
    with pytest.raises(SchemaError, match=r"needs a pipeline in a file"):
        Reloading(tmp_path, [kind], [Order("simple", "simple", "", {})], print)
