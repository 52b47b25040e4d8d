"""Lines of files and of standard input are units."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from naiad.errors import InvalidInput
from naiad.tasks.sources import read_lines


def test_lines_with_something_on_them_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\n\n  Grüße \na\u2028b\x0cc".encode())
    assert read_lines(tmp_path / "a.txt") == ["one", "Grüße", "a\u2028b\x0cc"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"three\nfour")))
    assert read_lines(Path("-")) == ["three", "four"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match=r"gone\.txt cannot be read: No such file"):
        read_lines(tmp_path / "gone.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 noir")
    with pytest.raises(InvalidInput, match=r"latin\.txt is not UTF-8: .*invalid continuation"):
        read_lines(tmp_path / "latin.txt")
