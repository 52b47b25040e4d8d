"""Files appear whole or not at all."""

from __future__ import annotations

import ast
import os
import stat
from pathlib import Path

import pytest

import naiad
from naiad.errors import InvalidInput, NaiadError
from naiad.files import (
    find_files,
    has_suffix,
    open_private,
    suffix_of,
    whole_file,
    write_whole,
)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.png"
    with whole_file(path) as partial:
        partial.write_bytes(b"half")
        assert partial.suffix == ".png"
        assert not path.exists()
    assert path.read_bytes() == b"half"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_whole(path, b"old")

    def stop() -> None:
        with whole_file(path) as partial:
            partial.write_bytes(b"new")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        stop()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.csv"
    with pytest.raises(NaiadError, match=f"{path} cannot be written: File exists"):
        write_whole(path, b"")


def test_suffixes_are_read_in_any_case(tmp_path: Path) -> None:
    names = ["a.NII.GZ", "b.nii.gz", "c.Nii", "d.JPG"]
    for name in names:
        (tmp_path / name).touch()
    found = list(find_files([tmp_path], (".nii", ".nii.gz"), "scans"))
    assert [path.name for path in found] == names[:3]
    assert suffix_of(tmp_path / "d.JPG") == ".jpg"
    assert has_suffix(tmp_path / "a.NII.GZ", (".nii.gz",))


def test_a_private_file_is_its_user_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
        file.write(b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError), open_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
        pass
    path.chmod(0o640)
    refused = pytest.raises(InvalidInput, match="key may be read by others; run: chmod 600")
    with refused, open_private(path, os.O_RDONLY):
        pass
    missing = pytest.raises(InvalidInput, match="other cannot be opened: No such file")
    with missing, open_private(tmp_path / "other", os.O_RDONLY):
        pass


def test_no_module_compares_a_suffix_as_it_was_typed() -> None:
    """A new comparison of ``path.suffix`` would not find ``.JPG``; `suffix_of` does."""
    found = [
        f"{file.name}:{node.lineno}"
        for file in Path(naiad.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if isinstance(side, ast.Attribute)
        and side.attr == "suffix"
        and not (isinstance(side.value, ast.Name) and side.value.id == "self")
    ]
    assert not found
