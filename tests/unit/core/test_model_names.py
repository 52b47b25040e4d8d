"""A model's folder is always inside its repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import naiad
from naiad.core.model_names import check_model_name, folder_of
from naiad.errors import SchemaError
from naiad.triton.torch_export import export_network

OUTSIDE = ["../x", "a/b", "..", ".", "", "/tmp/x", "x\n", "x\0", "-x", "a\\b", "caf\udce9", 3, None]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_is_no_folder_is_refused(name: Any, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"mine: name is .*; it must consist of letters, digits"):
        folder_of(tmp_path, name, "mine")


def test_a_name_is_no_longer_than_a_folders_may_be(tmp_path: Path) -> None:
    check_model_name("a" * 200, "mine")
    with pytest.raises(SchemaError, match="name has 201 bytes; it may have 200"):
        check_model_name("a" * 201, "mine")


def test_a_name_that_is_set_later_writes_nowhere_else(tmp_path: Path) -> None:
    class Echo(naiad.Pipeline):
        inputs = {"x": naiad.Tensor("float32", ("rows",))}
        outputs = {"x": naiad.Tensor("float32", ("rows",))}

        def forward(self, batch: Any) -> Any:
            return {"x": batch["x"]}

    repository = tmp_path / "models"
    Echo.name = "../x"
    with pytest.raises(SchemaError, match=r"Echo: name is '\.\./x'"):
        naiad.export(Echo, repository)
    network: Any = None  # the name is looked at first
    with pytest.raises(SchemaError, match=r"Echo: name is '\.\./x'"):
        export_network(network, Echo, repository)
    assert not list(tmp_path.iterdir())
