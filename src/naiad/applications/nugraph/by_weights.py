"""The pipeline class for a folder of weights: several networks are served under one name."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec

from naiad.applications.nugraph.condensation.pipeline import Condensation
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.core.pipeline import Pipeline
from naiad.weights import CARD_FILE, read_json


class _Kind(msgspec.Struct, frozen=True):
    """The field of a card that only networks with object condensation have."""

    generation: int = 0


def nugraph3(folder: str | Path) -> type[Pipeline]:
    """Make the class that serves ``nugraph3`` with these weights: of 2024, or of 2026.

    Raises:
        WeightsError: the card cannot be read, or makes no sense.
    """
    folder = Path(folder).resolve()
    card = folder / CARD_FILE
    if card.is_file() and read_json(card, _Kind).generation:
        return Condensation.of(folder)
    members = {
        "__module__": NuGraph3.__module__,
        "__doc__": NuGraph3.__doc__,
        "name": NuGraph3.name,
        "made_by": NuGraph3.made_by,
        "weights": folder,
    }
    return cast("type[Pipeline]", type(NuGraph3.__name__, (NuGraph3,), members))
