"""Pictures draw texts as they are, and are written as their suffix says."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.image import imread

from naiad import plots


def drawn(path: Path, text: str) -> bytes:
    figure = plots.new_figure(3, 1)
    figure.suptitle(text)
    plots.save(figure, path)
    return path.read_bytes()


def test_dollars_make_no_formula(tmp_path: Path) -> None:
    text = plots.plain(r"$100 and $200, \$3")
    assert r"$100 and $200, \$3" in drawn_text(text)


def drawn_text(text: str) -> str:
    figure = plots.new_figure(3, 1)
    figure.suptitle(text)
    return plots.svg(figure, "test")


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".jpg", b"\xff\xd8"), (".pdf", b"%PDF")]
)
def test_the_suffix_says_the_format(tmp_path: Path, suffix: str, start: bytes) -> None:
    assert drawn(tmp_path / f"a{suffix}", "title").startswith(start)


def test_a_training_is_drawn(tmp_path: Path) -> None:
    panels = {"loss": [("a", "red", [2.0, 1.0]), ("b", "blue", [3.0, 2.0])]}
    panels["accuracy"] = [("", "red", [0.1, 0.4])]
    plots.draw_training(panels, 1, tmp_path / "a.png", "a title", mark="black")
    assert imread(tmp_path / "a.png")[..., :3].std() > 0.01
