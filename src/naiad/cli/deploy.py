"""``naiad deploy``: files by which other systems run Naiad."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from naiad.cli.fields import with_fields
from naiad.console import errors, output, refuse_existing
from naiad.deploy.release import Release

app = typer.Typer(
    help="Write what runs Naiad in a cluster: a Helm chart, a dashboard.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Force = Annotated[bool, typer.Option("--force", help="Overwrite what exists.")]


@app.command()
@with_fields
def kubernetes(
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PIPELINE",
            help="Built-in names, or package.module:Class of what the image has; may be none with "
            "a --repository.",
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
    """Write a Helm chart, and the values that differ from its own.

    Needs no cluster and no Helm. The chart has a Deployment with probes on Naiad's supervisor,
    Envoy to spread gRPC, autoscaling by the time in the queue, a PodDisruptionBudget, a
    NetworkPolicy, a ServiceMonitor and a Grafana dashboard. Values for SuperSONIC's chart are
    written too.

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
        output.print(f"wrote {path}", highlight=False, soft_wrap=True)
    if len(written) < 3:
        errors.print("no supersonic.yaml: its chart has models from a pvc:// only")
    chart, values = (shlex.quote(str(path)) for path in written[:2])
    typer.echo(f"\n  helm upgrade --install {release.name} {chart} --values {values}")
    typer.echo(f"  helm template {release.name} {chart} --values {values}  # plain manifests")


@app.command("dashboard")
def write_dashboard(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Such as naiad.json.")],
    force: Force = False,
) -> None:
    """Write the Grafana dashboard: where the time of requests goes, batches, errors, pods.

    Import it in Grafana; any Prometheus that reads a server's metrics port will do.

    [bold]Examples[/]

      naiad deploy dashboard naiad.json
    """
    from naiad.deploy.dashboard import dashboard

    refuse_existing(path, force)
    path.write_text(json.dumps(dashboard(), indent=1) + "\n", "utf-8")
    output.print(f"wrote {path}", highlight=False, soft_wrap=True)
