"""A contact sheet of images with their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from naiad.applications.medical.mednist.schema import MAX_BYTES, MAX_PIXELS
from naiad.contact_sheet import Tile, contact_sheet
from naiad.images import open_picture, upright
from naiad.tasks.task import Found


def draw(results: Sequence[Found], path: Path, notice: str) -> None:
    """Draw images with their kinds.

    Raises:
        InvalidInput: a file cannot be read any more; see also :func:`contact_sheet`.
    """
    contact_sheet(
        results, _tile, path, notice, size=(112, 112), columns=(5, 10), gap=8, line=16, font=12
    )


def _tile(found: Found) -> Tile:
    image = open_picture(found.unit(), found.name, most_bytes=MAX_BYTES, most_pixels=MAX_PIXELS)
    kind = found.result
    return upright(image), [(f"{kind.label} {kind.score:.0%}", "white")]
