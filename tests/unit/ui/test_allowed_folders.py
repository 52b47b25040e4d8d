"""Agents name files in allowed folders only, wherever links lead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from naiad.errors import InvalidInput
from naiad.ui.allowed_folders import AllowedFolders


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with ``open``, which is allowed, and ``secret``, which is not."""
    for name in ("open/runs/a.h5", "open/b.h5", "secret/c.h5", "opened/d.h5"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0123456789")
    return tmp_path


def test_files_and_folders_below_are_found_by_absolute_and_relative_paths(place: Path):
    folders = AllowedFolders([place / "open"])
    expected = [place / "open" / "b.h5", place / "open" / "runs"]
    assert folders.resolve([str(path) for path in expected]) == expected
    assert folders.resolve(["b.h5", "runs/../runs"]) == expected
    assert AllowedFolders([place / "secret", place / "open"]).resolve(["b.h5"]) == expected[:1]


def test_a_link_counts_as_the_file_that_it_leads_to(place: Path):
    (place / "way").symlink_to(place / "open")
    (place / "open" / "again.h5").symlink_to(place / "open" / "b.h5")
    folders = AllowedFolders([place / "way"])
    expected = [place / "open" / "b.h5"]
    assert folders.resolve(["again.h5"]) == expected
    assert folders.resolve([str(place / "way" / "b.h5")]) == expected


@pytest.mark.parametrize("given", ["../secret/c.h5", "../secret/missing", "/etc/passwd", "~", ".."])
def test_paths_outside_are_refused_whether_they_exist_or_not(place: Path, given: str):
    folders = AllowedFolders([place / "open"])
    if given == "~":  # no home: a name like others
        with pytest.raises(InvalidInput, match="no such file below"):
            folders.resolve([given])
        return
    with pytest.raises(InvalidInput, match=r"is not below an allowed folder; they are: .*open$"):
        folders.resolve(["b.h5", given])


def test_a_folder_whose_name_begins_alike_is_another(place: Path):
    with pytest.raises(InvalidInput, match="not below an allowed folder"):
        AllowedFolders([place / "open"]).resolve([str(place / "opened" / "d.h5")])


@pytest.mark.parametrize("target", ["secret", "secret/c.h5"])
def test_a_folder_with_a_link_out_of_it_is_refused(place: Path, target: str):
    (place / "open" / "runs" / "link").symlink_to(place / target)
    folders = AllowedFolders([place / "open"])
    with pytest.raises(InvalidInput, match="link is a link out of the allowed folders"):
        folders.resolve(["runs"])
    with pytest.raises(InvalidInput, match="not below an allowed folder"):
        folders.resolve([f"runs/link{'/c.h5' if target == 'secret' else ''}"])


def test_what_is_no_file_or_too_large_is_refused(place: Path):
    folders = AllowedFolders([place / "open"], max_bytes=19)
    assert len(folders.resolve(["b.h5"])) == 1
    with pytest.raises(InvalidInput, match="over 19 bytes together"):
        folders.resolve(["b.h5", "runs"])
    os.mkfifo(place / "open" / "pipe")
    with pytest.raises(InvalidInput, match="pipe is not a regular file"):
        folders.resolve(["pipe"])
    for given in ("b\0.h5", "n" * 5000):
        with pytest.raises(InvalidInput):
            folders.resolve([given])
    with pytest.raises(InvalidInput, match="no such file"):
        folders.resolve(["missing.h5"])


def test_without_folders_no_file_may_be_read(place: Path):
    with pytest.raises(InvalidInput, match="no folder is allowed; start `naiad mcp` with --folder"):
        AllowedFolders().resolve([str(place / "open" / "b.h5")])
    with pytest.raises(InvalidInput, match="is not a folder"):
        AllowedFolders([place / "open" / "b.h5"])
