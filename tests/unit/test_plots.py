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


@pytest.mark.parametrize("text", [r"$100 and $200, \$3", "$", "$a", "$$", r"$\frac{$", "$x$"])
def test_dollars_make_no_formula(text: str) -> None:
    figure = plots.new_figure(3, 3)
    axes = figure.subplots()
    axes.plot([0, 1], label=text)
    axes.set(title=text, xlabel=text)
    axes.set_yticks([0, 1], [text, text])
    axes.legend()
    axes.text(0, 0, text)
    figure.suptitle(text)
    assert plots.svg(figure, "test").count(f">{text}<") == 7


def test_powers_of_ten_stay_formulas() -> None:
    figure = plots.new_figure(3, 1)
    axes = figure.subplots()
    axes.loglog([1, 1000], [1, 1000])
    assert ">$" not in plots.svg(figure, "test")


def test_names_of_any_bytes_and_script_are_drawn(tmp_path: Path) -> None:
    name = b"caf\xe9 \x1b[31m.nii".decode("utf-8", "surrogateescape")
    figure = plots.new_figure(3, 1)
    figure.suptitle(name)
    assert r"caf\udce9 \x1b[31m.nii" in plots.svg(figure, "test")
    assert drawn(tmp_path / "a.PNG", f"{name} 日本語 :smile:").startswith(b"\x89PNG")


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
