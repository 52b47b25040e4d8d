"""Pictures drawn by matplotlib: figures without a window, colours, texts and files."""

from __future__ import annotations

import io
import pathlib
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeAlias

from naiad.errors import MissingExtra
from naiad.files import whole_file
from naiad.printable import printable

# All imports of matplotlib are here, so that its absence has one message.
try:
    import matplotlib as mpl
    from matplotlib.axes import Axes as Axes
    from matplotlib.axis import Axis
    from matplotlib.collections import LineCollection as LineCollection
    from matplotlib.colors import to_rgba as to_rgba
    from matplotlib.figure import Figure as Figure
    from matplotlib.lines import Line2D as Line2D
    from matplotlib.patches import Patch as Patch
    from matplotlib.path import Path as Path
    from matplotlib.text import Text
    from matplotlib.ticker import LogFormatter, ScalarFormatter
    from matplotlib.ticker import MaxNLocator as MaxNLocator
except ModuleNotFoundError as error:
    raise MissingExtra("plots", error.name or "matplotlib") from None

OKABE_ITO: Final = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
"""Colours that all kinds of eyes tell apart."""
ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = OKABE_ITO

Curve: TypeAlias = tuple[str, str, Sequence[float]]


def new_figure(
    width: float, height: float, *, layout: Any = "constrained", **options: Any
) -> Figure:
    """Return a figure of a size in inches, which belongs to no window and to no global state."""
    return Figure(figsize=(width, height), layout=layout, **options)


def add_notice(figure: Figure, notice: str, colour: str) -> None:
    """Write the notice of the weights below a figure, if there is one."""
    if notice:
        figure.supxlabel(f"weights: {notice}", fontsize=9, color=colour)


def save(figure: Figure, path: pathlib.Path, dpi: float | str = 120) -> None:
    """Write a figure in the format of the path's suffix.

    Raises:
        NaiadError: the file cannot be written.
    """
    _draw_texts_as_they_are(figure)
    with whole_file(path) as partial, _any_script():
        figure.savefig(partial, dpi=dpi)


def style() -> AbstractContextManager[None]:
    """Draw axes without a box around them and their legends."""
    return mpl.rc_context(
        {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    )


def svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG for a page; ``name`` must be another for each figure of the page."""
    written = io.StringIO()
    _draw_texts_as_they_are(figure)
    with _any_script(), mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]


def _draw_texts_as_they_are(figure: Figure) -> None:
    """Turn formulas off: most texts hold a user's name, and matplotlib reads one between dollars.

    Only ticks of numbers keep them, for their powers of ten.
    """
    numbers: set[Text] = set()
    for axis in figure.findobj(Axis):
        if isinstance(axis.get_major_formatter(), LogFormatter | ScalarFormatter):
            numbers.update(axis.findobj(Text))
            numbers.discard(axis.label)
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)
            text.set_text(printable(text.get_text()))


@contextmanager
def _any_script() -> Generator[None]:
    """Draw letters that the font lacks as boxes, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def draw_training(
    panels: Mapping[str, Sequence[Curve]], best: int, path: pathlib.Path, title: str, mark: str
) -> None:
    """Draw curves by epoch.

    Args:
        panels: curves of each panel by what it shows; a curve has a name, if there are several, a
            colour and a value for each epoch.
        best: number of the epoch whose weights were kept, from 0.
        path: of the picture.
        title: of the picture.
        mark: colour of the line at that epoch.
    """
    with style():
        figure = new_figure(7, 5)
        rows: Sequence[Axes] = figure.subplots(len(panels), sharex=True)
        for axes, (what, curves) in zip(rows, panels.items(), strict=True):
            for name, colour, values in curves:
                axes.plot(range(1, len(values) + 1), values, color=colour, label=name)
            axes.axvline(best + 1, color=mark, linewidth=0.8, linestyle="--")
            axes.set_ylabel(what)
            if any(name for name, _, _ in curves):
                axes.legend()
        rows[0].set_title(title, loc="left")
        rows[-1].set_xlabel("epoch (dashed: the one whose weights were kept)")
        save(figure, path)
