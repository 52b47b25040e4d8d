"""Uploaded files are kept apart, and deleted."""

from __future__ import annotations

from pathlib import Path

from naiad.ui.uploads import Uploads


def test_files_are_beside_each_other_unless_their_names_are_equal() -> None:
    with Uploads() as uploads:
        given = [
            ("scan.hdr", b"1"),
            ("scan.img", b"2"),
            ("scan.hdr", b"3"),
            ("../x/scan.hdr", b"4"),
        ]
        paths = uploads.place(given)
        assert [path.read_bytes() for path in paths] == [content for _, content in given]
        assert paths[0].parent == paths[1].parent
        assert len({path.parent for path in paths}) == 3
        told = f"{paths[0]} and {paths[2]} differ"
        assert uploads.without_folder(told) == "scan.hdr and scan.hdr differ"
        folder = paths[0].parents[1]
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_a_file_in_place_is_taken_as_it_is(tmp_path: Path) -> None:
    with Uploads() as uploads:
        assert uploads.place([("a", tmp_path)]) == [tmp_path]
