"""``naiad deploy``: files by which other systems run Naiad."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from naiad import __version__
from naiad.console import errors, output, refuse_existing

app = typer.Typer(
    help="Write what runs Naiad in a cluster: a Helm chart, a dashboard.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Force = Annotated[bool, typer.Option("--force", help="Overwrite what exists.")]


@app.command()
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
    directory: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.")
    ] = Path("naiad-kubernetes"),
    name: Annotated[str, typer.Option(help="Name of the release, and of all it makes.")] = "naiad",
    image: Annotated[
        str, typer.Option(metavar="REPOSITORY:TAG", help="Built by deploy/Dockerfile.")
    ] = f"naiad:{__version__}",
    repository: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="Model repository: pvc://CLAIM/PATH, s3://BUCKET/PREFIX, or oci://IMAGE, whose "
            "folder /models it is.",
        ),
    ] = "",
    instances: Annotated[int, typer.Option(min=1, help="Copies of each model in a pod.")] = 2,
    replicas: Annotated[int, typer.Option(min=1, help="Pods, at least.")] = 2,
    max_replicas: Annotated[
        int | None,
        typer.Option(min=1, help="Pods, at most; more than --replicas turns autoscaling on."),
    ] = None,
    autoscaling: Annotated[
        Literal["keda", "hpa"],
        typer.Option(help="By KEDA, or by an HPA with the Prometheus adapter."),
    ] = "keda",
    queue_ms: Annotated[
        int,
        typer.Option(metavar="MS", min=1, help="More pods when requests wait longer on average."),
    ] = 50,
    prometheus: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Prometheus that KEDA asks; default: the operator's in the namespace monitoring.",
        ),
    ] = "",
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of each pod.")] = 0,
    service_monitor: Annotated[
        bool, typer.Option("--service-monitor", help="Have the Prometheus operator read metrics.")
    ] = False,
    kserve: Annotated[
        bool, typer.Option("--kserve", help="As a KServe InferenceService and ServingRuntime.")
    ] = False,
    force: Force = False,
) -> None:
    """Write a Helm chart, and the values that differ from its own.

    Needs no cluster and no Helm. The chart has a Deployment with probes on Naiad's supervisor,
    Envoy to spread gRPC, autoscaling by the time in the queue, a PodDisruptionBudget, a
    NetworkPolicy, a ServiceMonitor and a Grafana dashboard. Values for SuperSONIC's chart are
    written too.

    [bold]Examples[/]

      naiad deploy kubernetes nugraph3 --image registry.example.org/naiad:0.1.0
      naiad deploy kubernetes nugraph3 --max-replicas 8 --service-monitor
      naiad deploy kubernetes --repository s3://models/nugraph3 --name nugraph3
      naiad deploy kubernetes --repository pvc://models --gpus 1 --kserve
    """
    from naiad.deploy.kubernetes import Release, check, write_chart

    release = Release(
        name=name,
        image=image,
        pipelines=tuple(pipelines or ()),
        repository=repository,
        instances=instances,
        replicas=replicas,
        max_replicas=max_replicas,
        autoscaling=autoscaling,
        queue_milliseconds=queue_ms,
        prometheus=prometheus,
        gpus=gpus,
        service_monitor=service_monitor,
        kserve=kserve,
    )
    check(release)
    refuse_existing(directory, force)
    written = write_chart(release, directory)
    for path in written:
        output.print(f"wrote {path}", highlight=False, soft_wrap=True)
    if len(written) < 3:
        errors.print("no supersonic.yaml: its chart has models from a pvc:// only")
    chart, values = (shlex.quote(str(path)) for path in written[:2])
    typer.echo(f"\n  helm upgrade --install {name} {chart} --values {values}")
    typer.echo(f"  helm template {name} {chart} --values {values}  # plain manifests")


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
