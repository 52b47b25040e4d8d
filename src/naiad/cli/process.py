"""``naiad process NAME``: many files through servers or a Ray cluster, resumed after a stop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import MISSING, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from naiad.application import Application
from naiad.bulk.application import Bulk
from naiad.cli import verbs
from naiad.cli.connect import given_access, open_client
from naiad.cli.fields import build, options, reshaped
from naiad.cli.stopping import Stopped, interruptible
from naiad.console import complain, errors, output
from naiad.core.fields import setting
from naiad.errors import Unavailable

if TYPE_CHECKING:
    from naiad.bulk.engine import Engine
    from naiad.bulk.job import Job
    from naiad.bulk.run import Summary


_SERVER_DEFAULT = "localhost:8001"


class EngineName(str, Enum):
    """Where the model runs."""

    local = "local"
    ray = "ray"


class DeviceName(str, Enum):
    """What Ray's actors run on."""

    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """The options that all applications share."""

    results: Path = setting(
        MISSING, "Folder for the results.", flag="output", short=("-o",), metavar="DIR"
    )
    server: tuple[str, ...] = setting(
        (),
        "A running server; may be given several times, for several servers. "
        f"[dim]\\[default: {_SERVER_DEFAULT}][/]",
        metavar="URL",
    )
    local: bool = setting(False, "Start a server for this command alone.")
    engine: EngineName = setting(
        EngineName.local, "local: servers. ray: in process on a Ray cluster, without Triton."
    )
    weights: Path | None = setting(
        None, "With --local or ray: weights in place of the default ones."
    )
    model: str | None = setting(
        None,
        "The model's name on the server, where it is served under another one.",
        metavar="NAME",
    )
    concurrency: int = setting(16, "Requests that each server has at once.", min=1)
    timeout: float = setting(60.0, "Time for a request.", unit="s", above=0)
    patience: float = setting(600.0, "Time to wait while no server answers.", unit="s", min=0)
    ray_address: str | None = setting(
        None,
        "A running Ray cluster, or auto. By default one is started here.",
        metavar="HOST:PORT",
    )
    actors: int | None = setting(None, "Ray actors; by default one per CPU, or per GPU.", min=1)
    device: DeviceName = setting(DeviceName.cpu, "Of Ray actors.")
    chunk: int = setting(512, "Items that are kept together; see the documentation.", min=1)
    force: bool = setting(False, "Begin anew, and overwrite results.")


def command_of(
    application: type[Application],
    kind: Any,
    make: Callable[[Any], Bulk],
    suffixes: Sequence[str],
    example: str,
) -> Callable[..., None]:
    """Make ``naiad process APPLICATION``; ``kind`` is the dataclass of its options."""
    first, *others = suffixes

    def process(**given: Any) -> None:
        bulk, settings = make(build(kind, given)), build(_Settings, given)
        _process(application, bulk, given["paths"], given["format"], settings)

    def shared(
        paths: Annotated[
            list[Path],
            typer.Argument(metavar="FILE...", help="Files and folders.", show_default=False),
        ],
        format: Annotated[
            str,
            typer.Option(
                "--format", help=f"Of the results: {', '.join([first, *others])}".replace(".", "")
            ),
        ] = first.removeprefix("."),
    ) -> None: ...

    files, format = inspect.signature(shared, eval_str=True, locals=locals()).parameters.values()
    process.__doc__ = _help(application, example)
    return reshaped(process, [files, *options(kind), *options(_Settings), format])


def _help(application: type[Application], files: str) -> str:
    name = application.name
    return f"""Process any number of files with {name}: {application.summary}.

    Results go to a folder, a file for each input. A run that was stopped, or killed, goes on
    where it was when the same command is given again. Items that cannot be read, or that the
    model refuses, are listed in failures.csv; the others go on; the status is then 1.

    [bold]Examples[/]

      naiad process {name} {files} -o results/ --local
      naiad process {name} {files} -o results/ --server gpu1:8001 --server gpu2:8001
      naiad process {name} {files} -o results/ --engine ray --ray-address auto --device cuda
    """


def _process(
    application: type[Application],
    bulk: Bulk,
    paths: list[Path],
    format: str,
    settings: _Settings,
) -> None:
    _refuse_contradictions(settings)
    from naiad.bulk.job import Job

    job = Job(
        application=application.name,
        bulk=bulk,
        paths=paths,
        results=settings.results,
        suffix=f".{format.removeprefix('.')}",
        chunk=settings.chunk,
        force=settings.force,
    )
    try:
        # A second Ctrl-C does not wait for a server that ends; its reaper ends it all the same.
        with interruptible(once=True) as wakes, ExitStack() as stack:
            summary = _run(job, _engine(application, settings, stack, wakes))
    except Stopped as stop:
        complain(
            f"stopped; what is done is kept in {settings.results}, and the same command goes on"
        )
        raise typer.Exit(stop.status) from None
    _say_what_was_done(job, summary)
    if summary.failed or summary.unread:
        raise typer.Exit(1)


def _refuse_contradictions(settings: _Settings) -> None:
    on_ray = settings.engine is EngineName.ray
    if settings.local and settings.server:
        raise typer.BadParameter("--local starts a server of its own; leave --server out")
    if on_ray and (settings.local or settings.server):
        raise typer.BadParameter("--engine ray runs without a server; leave it out")
    if settings.weights is not None and not (settings.local or on_ray):
        raise typer.BadParameter(
            "--weights are for --local and --engine ray; a running server has its own"
        )
    if on_ray and settings.model is not None:
        raise typer.BadParameter("--model is for servers; --engine ray runs the application's own")
    if not on_ray and (settings.ray_address or settings.actors or settings.device.value != "cpu"):
        raise typer.BadParameter("--ray-address, --actors and --device are for --engine ray")


def _engine(
    application: type[Application],
    settings: _Settings,
    stack: ExitStack,
    wakes: list[Callable[[], None]],
) -> Engine:
    """What does the work, started; the ``stack`` ends it, and what is in ``wakes`` its waiting."""
    if settings.engine is EngineName.ray:
        from naiad.bulk.on_ray import OnRay, RaySettings

        ray = RaySettings(
            address=settings.ray_address, actors=settings.actors, device=settings.device.value
        )
        with errors.status("starting Ray"):
            return stack.enter_context(OnRay(application.name, settings.weights, ray))
    from naiad.bulk.on_servers import OnServers
    from naiad.bulk.servers import Servers
    from naiad.client.access import NO_ACCESS

    urls, shown = [*settings.server] or [_SERVER_DEFAULT], given_access()
    if settings.local:
        from naiad.triton.serving import serve

        with errors.status("starting Triton"):
            # With a health port it is watched, and restarted when it dies.
            server = serve(
                application.name,
                weights=settings.weights,
                http_port=0,
                grpc_port=0,
                metrics_port=0,
                health_port=0,
            )
        stack.enter_context(server)
        urls, shown = [server.grpc_url], NO_ACCESS
    model = settings.model
    if model is None:
        with open_client(urls[0]) as client:  # which most applications ask nothing
            model = application.model_on(client)
    servers = Servers(
        urls,
        model,
        concurrency=settings.concurrency,
        timeout=settings.timeout,
        patience=settings.patience,
        on_event=complain,
        access=shown,
    )
    stack.enter_context(servers)
    try:
        servers.start()
    except Unavailable as error:
        raise Unavailable(
            f"{error}; start one with `naiad serve {application.name}`, or add --local to start "
            "one for this command alone"
        ) from None
    wakes.append(servers.cancel)
    return OnServers(servers)


def _run(job: Job, engine: Engine) -> Summary:
    from naiad.bulk.run import run

    return run(job, engine, errors)


def _say_what_was_done(job: Job, summary: Summary) -> None:
    unit = job.bulk.unit
    before = f", {summary.before:,} of them done before" if summary.before else ""
    pace = f", {summary.rate:,.1f} {unit} per second" if summary.rate else ""
    output.print(
        f"{_count(summary.written, unit)} of {_count(summary.inputs, 'inputs')} are in "
        f"[bold]{escape(str(job.results))}[/]{before}{pace}",
        highlight=False,
        soft_wrap=True,
    )
    for path, reason in summary.unread.items():
        complain(f"{path}: {reason}")
    if summary.report is not None:
        failed = (
            f"1 {unit.removesuffix('s')}" if summary.failed == 1 else f"{summary.failed:,} {unit}"
        )
        complain(f"{failed} failed; {summary.report} says which and why")


def _count(number: int, plural: str) -> str:
    return f"{number:,} {plural.removesuffix('s') if number == 1 else plural}"


app = verbs.group("process", "Process many files, and go on after a stop.")
