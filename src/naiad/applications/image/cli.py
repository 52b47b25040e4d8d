"""Images on the command line: ``naiad infer|simulate image``, ``naiad weights import image``.

Read at the start of every ``naiad`` command: heavy modules are imported inside the functions.
"""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from naiad.cli.many_files import Concurrency, Csv, Job, Plot, Timeout
from naiad.cli.options import Force, Local, Notice, Url, Weights, server_asked
from naiad.console import output, progress_bar, refuse_existing


class ScalingName(str, Enum):
    """The scalings of :mod:`naiad.applications.image.facts`."""

    inception = "inception"
    imagenet = "imagenet"
    unit = "unit"
    vgg = "vgg"
    none = "none"


class LayoutName(str, Enum):
    """Orders of the dims of a network's input."""

    nchw = "NCHW"
    nhwc = "NHWC"


def infer(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE...", help="JPEG and PNG files, and folders of them.", show_default=False
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="How many of the best classes to show.")] = 3,
    csv: Csv = None,
    plot: Plot = None,
    url: Url = "localhost:8001",
    local: Local = False,
    weights: Weights = None,
    concurrency: Concurrency = 8,
    timeout: Timeout = 60.0,
    force: Force = False,
) -> None:
    """Say what is on images, with a served classifier.

    Files are sent as they are; the server decodes them. One that cannot be
    read, or that is refused, is reported; the others go on; the status is 1.

    [bold]Examples[/]

      naiad infer image photo.jpg --top 3
      naiad infer image photos/ more.png --csv labels.csv --plot sheet.png
      naiad infer image photo.jpg --local --weights my-classifier/
    """
    from naiad.applications.image import infer_file

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
    if infer_file.infer(job, top=top):
        raise typer.Exit(1)


def simulate(
    number: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 20,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures.")
    ] = Path("shapes"),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pictures.")] = 0,
    force: Force = False,
) -> None:
    """Draw pictures of simple shapes, to try image classification with.

    The network that comes with Naiad knows these and nothing else. A picture's
    name says what it shows.

    [bold]Example[/]

      naiad simulate image -n 50 -o shapes --seed 7
    """
    refuse_existing(directory, force)
    import numpy as np

    from naiad.applications.image.schema import SHAPES
    from naiad.applications.image.shapes import draw

    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    digits = len(str(number - 1))
    with progress_bar("drawing", number, unit="pictures") as advance:
        for count in range(number):
            shape = SHAPES[int(rng.integers(len(SHAPES)))]
            draw(shape, rng).save(directory / f"{count:0{digits}}-{shape}.jpg", quality=90)
            advance(count + 1)
    output.print(
        f"drew {number:,} pictures into [bold]{escape(str(directory))}[/]",
        highlight=False,
        soft_wrap=True,
    )


def import_weights(
    network: Annotated[
        Path, typer.Argument(help="ONNX or TorchScript, .onnx or .pt.", show_default=False)
    ],
    labels: Annotated[
        Path, typer.Option(metavar="FILE", help="Text: a label per line, in the classes' order.")
    ],
    scaling: Annotated[
        ScalingName,
        typer.Option(
            help="Of pixels, as in training. inception: to -1 to 1; imagenet: by mean and standard "
            "deviation, as torchvision's networks; unit: to 0 to 1; vgg: less the mean."
        ),
    ],
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the weights.")
    ],
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Height and width in pixels, where the file does not tell."),
    ] = None,
    layout: Annotated[
        LayoutName | None,
        typer.Option(help="Of the input, where the file does not tell; else NCHW."),
    ] = None,
    crop: Annotated[
        float | None,
        typer.Option(
            help="Use this part of the middle, as 0.875; by default the whole picture, squeezed."
        ),
    ] = None,
    notice: Notice = "",
    force: Force = False,
) -> None:
    """Make a folder of a classifier in ONNX or TorchScript and its labels, ready to be served.

    The network is tried before anything is kept. TorchScript is a program:
    take such files only from those you trust.

    [bold]Examples[/]

      naiad weights import image resnet.onnx --labels imagenet.txt --scaling imagenet -o resnet/
      naiad weights import image net.pt --labels l.txt --scaling unit --size 224 -o net/
      naiad serve image --weights resnet/
    """
    refuse_existing(directory, force)
    from naiad.applications.image.facts import SCALINGS
    from naiad.applications.image.importing import import_network

    facts, names = import_network(
        network,
        labels,
        directory,
        scaling=SCALINGS[scaling.value],
        size=None if size is None else (size, size),
        layout=None if layout is None else layout.value,
        crop=crop,
        notice=notice,
    )
    wanted = facts.preprocessing
    output.print(
        f"{len(names):,} classes, {wanted.width} x {wanted.height} pixels, {wanted.layout}, gives "
        f"{facts.output}",
        highlight=False,
    )
    output.print(
        f"wrote [bold]{escape(str(directory))}[/]; "
        f"serve it: naiad serve image --weights {escape(shlex.quote(str(directory)))}",
        highlight=False,
        soft_wrap=True,
    )
