"""Contact sheets: a tile for each unit, within the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from naiad.contact_sheet import Tile, contact_sheet
from naiad.errors import InvalidInput

LOOK = {"size": (20, 10), "columns": (1, 3), "gap": 2, "line": 12, "font": 10, "dark": False}


def tile(colour: str) -> Tile:
    return Image.new("RGB", (20, 10), colour), [("a caption that is far too long", "black")]


def test_pictures_are_in_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    colours = ["red", "lime", "blue", "cyan"]
    contact_sheet(colours, tile, path, "notice", **LOOK)
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 22 + 2, 2 * 24 + 12 + 4)
        corners = [(2, 2), (24, 2), (46, 2), (2, 26)]
        assert [sheet.getpixel(c) for c in corners] == [
            Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in colours
        ]
        column = [sheet.getpixel((22, y)) for y in range(sheet.height - 14)]
        assert set(column) == {(255, 255, 255)}  # no caption runs into the next picture


def test_a_format_that_pillow_has_not_is_refused_before_there_are_units(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"written as \.png, \.jpg, \.pdf"):
        contact_sheet([], tile, tmp_path / "a.svg", "", **LOOK)
    contact_sheet([], tile, tmp_path / "a.png", "", **LOOK)
    assert not list(tmp_path.iterdir())
