#!/usr/bin/env python
"""Make the network that comes with Naiad for MedNIST.

    python scripts/train_mednist_default.py

Draws 12,000 phantoms in the style of MedNIST's six kinds of images, trains on each once, in about
2 minutes on one core, and writes src/naiad/applications/medical/mednist/data/weights/. The
result is for trying Naiad: it was trained on synthetic phantoms and is not for diagnosis. The seed
is fixed; floating-point results of other processors may differ slightly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from describe_defaults import DEFAULTS, describe
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from naiad.applications.medical.mednist.train import train

FOLDER = Path(__file__).parents[1] / "src/naiad/applications/medical/mednist/data/weights"
IMAGES, TEST_IMAGES = 12_000, 1_200
SEED = 20241124


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FOLDER, help="where to write")
    parser.add_argument("--images", type=int, default=IMAGES, help="number to train on")
    arguments = parser.parse_args()
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as progress:
        task = progress.add_task("train", total=arguments.images)
        card = train(
            arguments.output,
            images=arguments.images,
            test_images=TEST_IMAGES,
            seed=SEED,
            command="python scripts/train_mednist_default.py",
            progress=lambda done, loss: progress.update(
                task, completed=done, description=f"train: loss {loss:.3f}"
            ),
        )
    describe(arguments.output, DEFAULTS["medical/mednist/data/weights"])
    Console().print_json(data=dict(card.metrics))


if __name__ == "__main__":
    main()
