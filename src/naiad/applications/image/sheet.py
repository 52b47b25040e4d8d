"""A contact sheet of images with their best classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from naiad.applications.image.decode import decode
from naiad.contact_sheet import Image, Tile, contact_sheet
from naiad.tasks.task import Found

_SIDE = 160


def draw(results: Sequence[Found], path: Path, notice: str) -> None:
    """Draw images with their best classes and their names.

    Raises:
        InvalidInput: a file cannot be read any more; see also :func:`contact_sheet`.
    """
    contact_sheet(
        results,
        _tile,
        path,
        notice,
        size=(_SIDE, _SIDE),
        columns=(1, 6),
        gap=12,
        line=18,
        font=14,
        lines=2,
        dark=False,
    )


def _tile(found: Found) -> Tile:
    (pixels,) = decode([found.unit()], _SIDE, _SIDE, crop=1.0, name=found.name)
    best = f"{found.result.label} {found.result.score:.0%}"
    return Image.fromarray(pixels), [(best, "black"), (Path(found.name).name, "grey")]
