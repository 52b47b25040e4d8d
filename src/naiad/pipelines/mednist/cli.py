"""MedNIST on the command line: ``naiad infer|simulate mednist``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.console import output, progress_bar, refuse_existing

_Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]


def infer(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="JPEG and PNG files, and folders of them.", show_default=False
        ),
    ],
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a table: a row per image.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a contact sheet, as PNG.")
    ] = None,
    url: Annotated[
        str, typer.Option(help="The server; host:port for gRPC, http://host:port for HTTP.")
    ] = "localhost:8001",
    local: Annotated[
        bool, typer.Option("--local", help="Start a server for this command alone.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(help="With --local: weights, such as a TorchScript file.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Images with the server at once.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per image.")] = 60.0,
    force: _Force = False,
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
    if weights is not None and not local:
        raise typer.BadParameter("--weights are for --local; a running server has its own")
    from naiad.pipelines.mednist import infer_file

    job = infer_file.Job(
        paths=paths,
        url=None if local else url,
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
    force: _Force = False,
) -> None:
    """Draw phantoms in the manner of MedNIST's six kinds, to try mednist with.

    A phantom's name says which kind it is. They are no patients.

    [bold]Example[/]

      naiad simulate mednist -n 60 -o images --seed 7
    """
    refuse_existing(directory, force)
    import numpy as np

    from naiad.pipelines.mednist.phantoms import draw, encode
    from naiad.pipelines.mednist.schema import CLASSES

    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with progress_bar("phantoms", number, unit="phantoms") as advance:
        for count in range(number):
            kind = CLASSES[count % len(CLASSES)]
            (directory / f"{count:03}-{kind}.jpeg").write_bytes(encode(draw(kind, rng)))
            advance(count + 1)
    output.print(f"wrote {number} phantoms to [bold]{directory}[/]", highlight=False)
