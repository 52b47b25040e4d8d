#!/usr/bin/env python
"""Write the licence, data and use of the weights that come with Naiad into their cards.

    python scripts/describe_defaults.py

The scripts that train them, train_*_default.py, end with this. Measured quality is written by the
training itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from naiad.card import About
from naiad.weights import CARD_FILE

APPLICATIONS: Final = Path(__file__).parents[1] / "src" / "naiad" / "applications"
LICENSE: Final = "Apache-2.0"

_TRIAL: Final = "Trying Naiad, its clients and its deployment without data or weights of one's own."
_EVENTS: Final = About(
    license=LICENSE,
    data=(
        "Neutrino events in a liquid-argon time projection chamber, made by the toy simulation of "
        "`naiad simulate nugraph3`: particles, cosmic rays and noise on three wire planes, without "
        "cross sections, nuclear effects, field response or space charge."
    ),
    simulated=True,
    task="graph-ml",
    use=_TRIAL,
    misuse="Physics. Import weights that were trained on the events of your experiment.",
)
_PHANTOMS: Final = "Diagnosis, and any picture of a patient: it has never seen one."

DEFAULTS: Final[Mapping[str, About]] = {
    "nugraph/data/weights": _EVENTS,
    "nugraph/data/nugraph2_weights": _EVENTS,
    "gat/data/weights": About(
        license=LICENSE,
        data="A citation graph made by `naiad simulate gat`: the topics and words mean nothing.",
        simulated=True,
        task="graph-ml",
        use=_TRIAL,
        misuse="Classifying real papers.",
    ),
    "products/data/weights": About(
        license=LICENSE,
        data=(
            "A co-purchase graph made by `naiad simulate products`: the products and categories "
            "mean nothing."
        ),
        simulated=True,
        task="graph-ml",
        use=_TRIAL,
        misuse="Classifying or recommending real products.",
    ),
    "image/data/weights": About(
        license=LICENSE,
        data="Drawn pictures of ten kinds: shapes and patterns.",
        simulated=True,
        task="image-classification",
        use=_TRIAL,
        misuse="Photographs.",
    ),
    "medical/mednist/data/weights": About(
        license=LICENSE,
        data="Drawn phantoms of the six kinds of pictures in MedNIST; no picture of a patient.",
        simulated=True,
        task="image-classification",
        use=_TRIAL,
        misuse=_PHANTOMS,
    ),
    "medical/covid_ct/data/weights": About(
        license=LICENSE,
        data="Drawn chest phantoms, half of them with opacities; no scan of a patient.",
        simulated=True,
        task="image-classification",
        use=_TRIAL,
        misuse=_PHANTOMS,
    ),
}
"""By folder below src/naiad/applications."""


def describe(folder: Path, about: About, *, data: str = "") -> None:
    """Write facts into the card of a folder of weights; ``data`` names the data of the metrics."""
    path = folder / CARD_FILE
    card = json.loads(path.read_text("utf-8"))
    if data:
        card["evaluations"] = [one | {"data": data} for one in card["evaluations"]]
    path.write_text(json.dumps(card | {"about": msgspec.to_builtins(about)}, indent=2) + "\n")


def main() -> None:
    for folder, about in DEFAULTS.items():
        describe(APPLICATIONS / folder, about)


if __name__ == "__main__":
    main()
