"""``naiad export``: write and check model repositories."""

from __future__ import annotations

import shlex
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from naiad.cli.mount import brought_options, specs_of
from naiad.console import errors, output, say, say_notice
from naiad.core.fields import changed, option_name
from naiad.core.settings import ModelSettings
from naiad.errors import EngineError


class Format(str, Enum):
    """Format of an exported model."""

    pipeline = "pipeline"
    torchscript = "torchscript"
    pt2 = "pt2"


def export(
    pipeline: Annotated[
        str | None,
        typer.Argument(help="A built-in name, or my_model.py:MyModel.", show_default=False),
    ] = None,
    directory: Annotated[
        Path | None, typer.Argument(help="The model repository to write.", show_default=False)
    ] = None,
    *,
    brought: Annotated[Any, brought_options("ExportOptions")],
    format: Annotated[
        Format,
        typer.Option(
            help="pipeline: Naiad's, with all hooks. torchscript, pt2: the network alone, as "
            "model.pt, or compiled for this processor as model.pt2, for any PyTorch backend.",
        ),
    ] = Format.pipeline,
    batching: Annotated[
        bool,
        typer.Option(
            "--batching/--no-batching",
            help="With torchscript and pt2: merge requests in Naiad.",
        ),
    ] = True,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write nothing; load the repository DIR in a temporary server and run each "
            "model's sample request.",
        ),
    ] = None,
    models: ModelSettings,
) -> None:
    """Write a model repository that Triton can serve, here or in an NVIDIA container.

    [bold]Examples[/]

      naiad export nugraph3 models/
      naiad export my_model.py:MyModel models/ --device cuda:0 --set threshold=0.7
      naiad export nugraph3 models/ --tuning tuning.json
      naiad export gat models/ --format torchscript
      naiad export models/ --bundle spleen_ct_segmentation/
      naiad export --check models/
    """
    if check is not None:
        if pipeline is not None:
            raise typer.BadParameter("give either PIPELINE DIRECTORY or --check DIR")
        check_repository(check)
        return
    if specs := specs_of(brought):
        if pipeline is None or directory is not None or len(specs) > 1:
            raise typer.BadParameter("give PIPELINE or one option in its place, and DIRECTORY")
        pipeline, directory = specs[0], Path(pipeline)
    if pipeline is None or directory is None:
        raise typer.BadParameter("give PIPELINE and DIRECTORY, such as my_model.py:MyModel models/")
    if format is not Format.pipeline:
        extra = [
            option_name(one)
            for one in fields(models)
            if one.name in changed(models) and one.name not in ("weights", "device")
        ]
        if extra:
            raise typer.BadParameter(
                f"{', '.join(extra)}: for --format pipeline only; plain models have a config.pbtxt"
            )
        from naiad.triton.torch_export import export_application

        with errors.status(f"writing {format.value}"):
            path = export_application(
                pipeline,
                directory,
                format.value,
                weights=models.weights,
                device=models.device,
                batching=batching,
            )
        _print_written(path, directory)
        return
    from naiad.triton.repository import export as write

    model = write(pipeline, directory, compare=True, **changed(models))
    _print_written(model.path, directory, model.notice)


def _print_written(path: Path, repository: Path, notice: str = "") -> None:
    say("wrote ", (str(path), "bold"))
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        say(f"  {file.relative_to(path)}  {file.stat().st_size:,} bytes")
    if notice:
        say_notice(f"  {notice}")
    where = shlex.quote(str(repository))
    say(f"serve it: naiad serve --model-repository {where}")


def check_repository(directory: Path) -> None:
    """Serve a repository on free ports and run the example of each Naiad model.

    Raises:
        EngineError: no model was found, or one does not load or answer.
    """
    from naiad.triton.repository import naiad_models
    from naiad.triton.server import Server

    if not directory.is_dir():
        raise EngineError(f"{directory}: no such folder")
    models = list(naiad_models(directory))
    if not models:
        raise EngineError(f"{directory} holds no model written by `naiad export`")
    table = Table("model", "output", "dtype", "shape")
    with Server(directory, http_port=0, grpc_port=0, metrics_port=0) as server:
        client = server.client()
        for model in models:
            outputs = client.infer(model.name, model.example())
            for number, (name, array) in enumerate(outputs.items()):
                shape = str(list(array.shape))
                table.add_row("" if number else model.name, name, str(array.dtype), shape)
    output.print(table)
    say((f"{len(models)} model(s) load and answer their sample request", "green"))
