"""``naiad config``: explain a model's configuration."""

from __future__ import annotations

import json
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from naiad.cli.connect import open_client
from naiad.cli.options import Url
from naiad.console import say, tell
from naiad.errors import EngineError, NaiadError

if TYPE_CHECKING:
    from naiad.triton.describe import Section
    from naiad.triton.model_config import ModelConfig


def config(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")],
    url: Url = "localhost:8001",
    model_repository: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Read this repository instead of asking a server."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Explain a model's configuration: tensors, batching, instances, versions, parameters.

    [bold]Examples[/]

      naiad config gat
      naiad config gat --model-repository models/
    """
    from naiad.triton.describe import describe

    sections: list[Section]
    if model_repository is None:
        sections = describe(_served(name, url))
    else:
        found = _read(name, model_repository)
        sections = [*describe(found), *_of_pipeline(found)]
    if as_json:
        typer.echo(json.dumps([asdict(section) for section in sections], indent=1))
        return
    say((name, "bold"))
    for section in sections:
        say((section.title, "bold cyan"))
        for line in section.lines:
            say(f"  {line}")


def _served(name: str, url: str) -> ModelConfig:
    from naiad.triton.model_config import parse_model_config

    with open_client(url) as client:
        return parse_model_config(json.dumps(client.config(name)), Path(name))


def _read(name: str, repository: Path) -> ModelConfig:
    from naiad.triton.command import model_directories
    from naiad.triton.model_config import read_model_config

    if not repository.is_dir():
        raise EngineError(f"{repository}: no such folder")
    names = [path.name for path in model_directories(repository)]
    if name not in names:
        close = get_close_matches(name, names)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise EngineError(
            f"{repository} has no model {name}; it has {', '.join(names) or 'none'}{hint}"
        )
    return read_model_config(repository / name)


def _of_pipeline(config: ModelConfig) -> list[Section]:
    """Describe the budget and the limit, which are in the pipeline's code."""
    from naiad.triton.config import PIPELINE_PARAMETER
    from naiad.triton.describe import describe_pipeline
    from naiad.triton.repository import ExportedModel

    if PIPELINE_PARAMETER not in config.parameters:
        return []
    try:
        pipeline = ExportedModel(config.name, config.path).pipeline()
    except NaiadError as error:
        tell(f"budget and limit are not shown: {error}")
        return []
    return describe_pipeline(pipeline)
