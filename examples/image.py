"""Classify pictures.

    naiad simulate image -n 8 -o shapes  # or photographs, and your own network
    python examples/image.py shapes

Needs the extra `image`.
"""

import sys
from pathlib import Path

import naiad


def main(folder: str) -> None:
    """Print the label of each image."""
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix in {".jpg", ".png"})
    with naiad.serve("image") as server, server.client() as client:
        for path, found in zip(paths, client.image.infer(paths), strict=True):
            print(f"{path.name}: {found.label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
