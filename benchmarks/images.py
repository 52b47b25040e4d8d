"""Measure the cost of an image: decoding by its size, classification by the size of the batch.

    python -m benchmarks.images [--rounds 9]

Prints medians of CPU time in one thread, in milliseconds.
"""

from __future__ import annotations

import argparse
import os
from io import BytesIO

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from benchmarks.parts import Work, medians
from PIL import Image

from naiad.applications.image.card import read_folder
from naiad.applications.image.decode import decode
from naiad.applications.image.networks import open_classifier
from naiad.applications.image.pipeline import ImageClassifier

SIZES = ((640, 480), (1920, 1080), (4000, 3000))
BATCHES = (1, 4, 16, 64)


def picture(width: int, height: int, kind: str) -> bytes:
    """Make a smooth picture with some detail, like photographs."""
    rng = np.random.default_rng(width)
    small = rng.integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).save(file, kind)
    return file.getvalue()


def whole(data: bytes) -> None:
    """Decode all pixels, then shrink the picture."""
    Image.open(BytesIO(data)).convert("RGB").resize((299, 299), Image.Resampling.BILINEAR)


def works() -> dict[str, tuple[Work, int]]:
    """Return the work to measure by name, and the number of images to divide its time by."""
    found: dict[str, tuple[Work, int]] = {}
    for width, height in SIZES:
        for kind in ("JPEG", "PNG"):
            data, name = picture(width, height, kind), f"{kind} of {width} x {height}"
            found[f"decode {name}"] = (lambda d=data: decode([d], 299, 299, name="x")), 1
            if kind == "JPEG":
                found[f"the whole {name}"] = (lambda d=data: whole(d)), 1
    folder = ImageClassifier().weights_path
    assert folder is not None
    card, labels = read_folder(folder)
    classifier = open_classifier(folder, card, len(labels), "cpu")
    for batch in BATCHES:
        pixels = np.random.default_rng(batch).integers(0, 256, (batch, 299, 299, 3), np.uint8)
        found[f"classify, in a batch of {batch}"] = (lambda p=pixels: classifier(p)), batch
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    for name, median in medians(works(), rounds).items():
        print(f"{name:34} {median:8.2f} ms")


if __name__ == "__main__":
    main()
