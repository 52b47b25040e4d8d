"""Tell which of six kinds small medical images are.

    naiad simulate mednist -n 12 -o images
    python examples/mednist.py images

Needs the extra `mednist`. The weights that come with Naiad were trained on synthetic images and
are not for diagnosis.
"""

import sys
from pathlib import Path

import naiad


def main(folder: str) -> None:
    """Print the kind of each image."""
    paths = sorted(Path(folder).glob("*.jpeg"))
    with naiad.serve("mednist") as server, server.client() as client:
        for path, kind in zip(paths, client.mednist.infer(paths), strict=True):
            print(f"{path.name}: {kind.label}")


if __name__ == "__main__":
    main(*sys.argv[1:])
