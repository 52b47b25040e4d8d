"""MONAI bundles on the command line: ``naiad infer bundle``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.many_files import Concurrency, Csv, Timeout
from naiad.cli.options import Force, Url


def infer(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCAN...",
            help="NIfTI files, zip archives with DICOM series, JPEG and PNG files, and folders of "
            "those.",
            show_default=False,
        ),
    ],
    directory: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for label maps and their pictures."
        ),
    ] = None,
    csv: Csv = None,
    picture: Annotated[
        bool,
        typer.Option("--picture/--no-picture", help="Draw each label map over its scan, as PNG."),
    ] = True,
    compress: Annotated[
        bool,
        typer.Option(
            "--gzip/--no-gzip", help="Write .nii.gz, or else .nii; maps of pictures are .png."
        ),
    ] = True,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The bundle, where the server has several."),
    ] = None,
    url: Url = "localhost:8001",
    local: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Start a server with this bundle, for this command alone."
        ),
    ] = None,
    concurrency: Concurrency = 2,
    timeout: Timeout = 600.0,
    force: Force = False,
) -> None:
    """Segment or classify scans or pictures with a served MONAI bundle.

    Sizes of labels, or probabilities of classes, are printed. Of a folder,
    the NIfTI files are taken, or else the DICOM series or pictures. A scan
    that cannot be read, or that is refused, is reported; the others go on; the
    status is 1.

    For a bundle with several channels give the files of a scan after each
    other, in the order of the channels.

    [bold]Examples[/]

      naiad infer bundle scan.nii.gz --output seg/
      naiad infer bundle series.zip dicom-folder/ --output seg/ --csv volumes.csv
      naiad infer bundle t1c.nii.gz t1.nii.gz t2.nii.gz flair.nii.gz --model brats_mri_segmentation
      naiad infer bundle frames/ --output seg/ --model endoscopic_tool_segmentation
      naiad infer bundle scan.nii.gz --output seg/ --local spleen_ct_segmentation/
    """
    from naiad.applications.medical.bundle import infer_file

    job = infer_file.Job(
        paths=paths,
        url=url if local is None else None,
        bundle=local or Path(),
        directory=directory,
        csv=csv,
        picture=picture,
        compress=compress,
        model=model,
        concurrency=concurrency,
        timeout=timeout,
        force=force,
    )
    if infer_file.infer(job):
        raise typer.Exit(1)
