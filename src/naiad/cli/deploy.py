"""``naiad deploy``: write files with which other systems run Naiad."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.fields import with_fields
from naiad.console import errors, refuse_existing, say
from naiad.deploy.release import Release

app = typer.Typer(
    help="Write a Helm chart and a dashboard, to run Naiad in a cluster.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]


@app.command()
@with_fields
def kubernetes(
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PIPELINE",
            help="Built-in names, or package.module:Class if the image has it; optional with "
            "--repository.",
            show_default=False,
        ),
    ] = None,
    *,
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.")
    ] = Path("naiad-kubernetes"),
    force: Force = False,
    release: Release,
) -> None:
    """Write a Helm chart, and values for this release.

    It needs neither a cluster nor Helm. The chart has a Deployment with probes of Naiad's
    supervisor, Envoy to balance gRPC, autoscaling by time in the queue, a PodDisruptionBudget, a
    NetworkPolicy, a ServiceMonitor and a Grafana dashboard. Values for SuperSONIC's chart are
    written, too.

    [bold]Examples[/]

      naiad deploy kubernetes nugraph3 --image registry.example.org/naiad:0.1.0
      naiad deploy kubernetes nugraph3 --max-replicas 8 --latency-target 50ms
      naiad deploy kubernetes --repository s3://models/nugraph3 --name nugraph3
      naiad deploy kubernetes --repository pvc://models --gpus 1 --kserve
    """
    from naiad.deploy.kubernetes import check, write_chart

    release = replace(release, pipelines=tuple(pipelines or ()))
    check(release)
    refuse_existing(directory, force)
    written = write_chart(release, directory)
    for path in written:
        say(f"wrote {path}")
    if len(written) < 3:
        errors.print("no supersonic.yaml: SuperSONIC's chart can only read models from pvc://")
    chart, values = (shlex.quote(str(path)) for path in written[:2])
    typer.echo(f"\n  helm upgrade --install {release.name} {chart} --values {values}")
    typer.echo(f"  helm template {release.name} {chart} --values {values}  # plain manifests")


@app.command("dashboard")
def write_dashboard(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="File to write, such as naiad.json.")
    ],
    force: Force = False,
) -> None:
    """Write a Grafana dashboard of request stages, batches, errors and pods.

    Import it into Grafana. Its data source can be any Prometheus that scrapes the health port.

    [bold]Examples[/]

      naiad deploy dashboard naiad.json
    """
    from naiad.deploy.dashboard import dashboard

    refuse_existing(path, force)
    path.write_text(json.dumps(dashboard(), indent=1) + "\n", "utf-8")
    say(f"wrote {path}")
