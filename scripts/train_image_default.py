#!/usr/bin/env python
"""Make the network and the example picture that come with Naiad for image classification.

    python scripts/train_image_default.py

Draws 40,000 pictures of ten simple shapes, trains on each once, in about 10 minutes on one core,
and writes src/naiad/applications/image/data/. The result is for trying Naiad: it knows these
shapes, not photographs. The seeds are fixed; floating-point results of other processors may differ
slightly.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from describe_defaults import DEFAULTS, describe
from rich.console import Console
from rich.progress import Progress, TimeElapsedColumn

from naiad.applications.image.shapes import draw
from naiad.applications.image.train import train

DATA = Path(__file__).parents[1] / "src" / "naiad" / "applications" / "image" / "data"
IMAGES, TEST_IMAGES = 40_000, 2_000
SEED = 20241124


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=DATA, help="where to write")
    parser.add_argument("--images", type=int, default=IMAGES, help="number to train on")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    example = draw("star", np.random.default_rng(SEED))
    example.save(arguments.output / "example.jpg", quality=85)
    with Progress(*Progress.get_default_columns(), TimeElapsedColumn()) as progress:
        task = progress.add_task("train", total=arguments.images)
        card = train(
            arguments.output / "weights",
            images=arguments.images,
            test_images=TEST_IMAGES,
            seed=SEED,
            workers=arguments.workers,
            command="python scripts/train_image_default.py",
            progress=lambda done, loss: progress.update(
                task, completed=done, description=f"train: loss {loss:.3f}"
            ),
        )
    describe(arguments.output / "weights", DEFAULTS["image/data/weights"])
    Console().print_json(data=dict(card.metrics))


if __name__ == "__main__":
    main()
