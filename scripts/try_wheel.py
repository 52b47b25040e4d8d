"""Try an installed wheel without a server: run NuGraph3's compiled network, find Triton's backend.

python scripts/try_wheel.py
"""

from __future__ import annotations

import platform

import naiad
from naiad.applications.nugraph.pipeline import NuGraph3
from naiad.native.library import library
from naiad.runtime.runner import Runner


def main() -> None:
    """Raise unless the wheel's libraries for this machine exist and run."""
    pipeline = NuGraph3()
    report = Runner(pipeline).run([naiad.Request(pipeline.example())] * 2)
    for answer in report.outcomes:
        if isinstance(answer, Exception):
            raise answer
    if not library().is_file():
        raise FileNotFoundError(library())
    print(f"naiad {naiad.__version__} runs on {platform.machine()}: {library()}")


if __name__ == "__main__":
    main()
