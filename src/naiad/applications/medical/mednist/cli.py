"""MedNIST on the command line: ``naiad infer|simulate mednist``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.many_files import Concurrency, Csv, Job, Plot, Timeout
from naiad.cli.options import Force, Local, Url, Weights, server_asked
from naiad.console import output, progress_bar, refuse_existing


def infer(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="JPEG and PNG files, and folders of them.", show_default=False
        ),
    ],
    csv: Csv = None,
    plot: Plot = None,
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    concurrency: Concurrency = 8,
    timeout: Timeout = 60.0,
    force: Force = False,
) -> None:
    """Say which of MedNIST's six kinds images are, with a served network.

    The weights that come with Naiad were trained on synthetic phantoms: not
    for diagnosis. Files are sent as they are. One that cannot be read, or that
    is refused, is reported; the others go on; the status is 1.

    [bold]Examples[/]

      naiad infer mednist hand.jpeg
      naiad infer mednist images/ --csv kinds.csv --plot sheet.png
      naiad infer mednist images/ --local --weights model.pt
    """
    from naiad.applications.medical.mednist import infer_file

    job = Job(
        paths=paths,
        url=server_asked(url, local=local, weights=weights),
        weights=weights,
        csv=csv,
        plot=plot,
        concurrency=concurrency,
        timeout=timeout,
        force=force,
    )
    if infer_file.infer(job):
        raise typer.Exit(1)


def simulate(
    number: Annotated[int, typer.Option("-n", min=1, help="How many phantoms.")] = 12,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the phantoms.")
    ] = Path("images"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same phantoms.")] = 0,
    force: Force = False,
) -> None:
    """Draw phantoms in the manner of MedNIST's six kinds, to try mednist with.

    A phantom's name says which kind it is. They are no patients.

    [bold]Example[/]

      naiad simulate mednist -n 60 -o images --seed 7
    """
    refuse_existing(directory, force)
    import numpy as np

    from naiad.applications.medical.mednist.phantoms import draw, encode
    from naiad.applications.medical.mednist.schema import CLASSES

    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with progress_bar("phantoms", number, unit="phantoms") as advance:
        for count in range(number):
            kind = CLASSES[count % len(CLASSES)]
            (directory / f"{count:03}-{kind}.jpeg").write_bytes(encode(draw(kind, rng)))
            advance(count + 1)
    output.print(f"wrote {number} phantoms to [bold]{directory}[/]", highlight=False)
