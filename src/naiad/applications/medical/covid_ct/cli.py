"""Chest CT on the command line: ``naiad infer|simulate covid_ct``.

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
            metavar="SCAN...",
            help="NIfTI files (.nii, .nii.gz), and folders of them.",
            show_default=False,
        ),
    ],
    csv: Csv = None,
    plot: Plot = None,
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    concurrency: Concurrency = 4,
    timeout: Timeout = 300.0,
    force: Force = False,
) -> None:
    """Say whether chest CT scans show COVID-19, with a served network.

    The weights that come with Naiad were trained on synthetic phantoms: not
    for diagnosis. Files are sent as they are. One that cannot be read, or that
    is refused, is reported; the others go on; the status is 1.

    [bold]Examples[/]

      naiad infer covid_ct scan.nii.gz
      naiad infer covid_ct scans/ more.nii --csv verdicts.csv --plot slices.png
      naiad infer covid_ct scan.nii.gz --local --weights covid19_model.ts
    """
    from naiad.applications.medical.covid_ct import infer_file

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
    number: Annotated[int, typer.Option("-n", min=1, help="How many phantoms.")] = 4,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the phantoms.")
    ] = Path("scans"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same phantoms.")] = 0,
    force: Force = False,
) -> None:
    """Make chest phantoms, every other with opacities, to try covid_ct with.

    A phantom's name says which it is. They are no patients.

    [bold]Example[/]

      naiad simulate covid_ct -n 6 -o scans --seed 7
    """
    refuse_existing(directory, force)
    import numpy as np

    from naiad.applications.medical.covid_ct.phantoms import draw, encode

    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with progress_bar("phantoms", number, unit="phantoms") as advance:
        for count in range(number):
            kind = ("opacities", "clear")[count % 2]
            data = encode(draw(rng, opacities=kind == "opacities"))
            (directory / f"{count:02}-{kind}.nii.gz").write_bytes(data)
            advance(count + 1)
    output.print(f"wrote {number} phantoms to [bold]{directory}[/]", highlight=False)
