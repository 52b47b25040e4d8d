"""``naiad demo``: the main job from end to end, on the real Triton."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    directory: Annotated[
        Path, typer.Option("--output", "-o", help="Where repository, results and picture go.")
    ] = Path("demo-output"),
) -> None:
    """Export NuGraph3, start Triton, label simulated events, draw one, and shut down.

    It needs no network and no data of yours: weights and events come with Naiad. Both are
    simulated, so nothing that it prints is physics.

    [bold]Example[/]

      naiad demo --output /tmp/naiad-demo
    """
    from naiad.pipelines.nugraph3.demo import run

    run(directory)
