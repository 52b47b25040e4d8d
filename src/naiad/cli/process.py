"""``naiad process APPLICATION``: many files through servers or a Ray cluster, and on after a stop.

The commands are made from what applications declare: their options are the fields of the class
that ``Application.bulk`` names.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from naiad.application import Application, applications
from naiad.bulk.application import Bulk, load_bulk
from naiad.cli import verbs
from naiad.cli.connect import given_access, open_client
from naiad.cli.options import ModelName
from naiad.cli.stopping import Stopped, interruptible
from naiad.console import complain, errors, output
from naiad.errors import Unavailable

if TYPE_CHECKING:
    from naiad.bulk.engine import Engine
    from naiad.bulk.job import Job
    from naiad.bulk.run import Summary


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
    """The options that all applications share, as they are typed."""

    paths: list[Path]
    results: Path
    suffix: str
    server: list[str] | None
    local: bool
    engine: EngineName
    weights: Path | None
    model: str | None
    concurrency: int
    timeout: float
    patience: float
    ray_address: str | None
    actors: int | None
    device: DeviceName
    chunk: int
    force: bool


_SERVER_DEFAULT = "localhost:8001"


def command_of(
    application: type[Application],
    make: Callable[[dict[str, Any]], Bulk],
    own: Sequence[inspect.Parameter],
) -> Callable[..., None]:
    """Make ``naiad process APPLICATION``, whose own options ``make`` takes."""

    def process(**given: Any) -> None:
        bulk = make({p.name: given.pop(p.name) for p in own})
        _process(application, bulk, _Settings(**given))

    suffixes, example = make({p.name: p.default for p in own}).suffixes, ""
    example = make({p.name: p.default for p in own}).example
    shared = _parameters(suffixes)
    parameters = [shared.pop("paths"), *own, *shared.values()]
    process.__signature__ = inspect.Signature(parameters)  # pyright: ignore
    process.__annotations__ = {p.name: p.annotation for p in parameters}
    process.__doc__ = _help(application, example)
    return process


def _legacy(application: type[Application]) -> Callable[..., None]:
    kind: Any = load_bulk(application)
    return command_of(application, lambda given: kind(**given), _own_parameters(kind))


def _own_parameters(kind: type[Bulk]) -> list[inspect.Parameter]:
    """A parameter for each field of the application's class."""
    types = inspect.get_annotations(kind, eval_str=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[
                types[field.name],
                typer.Option(
                    f"--{field.name.replace('_', '-')}",
                    help=field.metadata["help"],
                    **{k: v for k, v in field.metadata.items() if k != "help"},
                ),
            ],
        )
        for field in fields(kind)  # pyright: ignore[reportArgumentType]
    ]


def _parameters(suffixes: Sequence[str]) -> dict[str, inspect.Parameter]:
    """The parameters that all applications share, by name."""
    first, *others = suffixes

    def shared(
        paths: Annotated[
            list[Path],
            typer.Argument(metavar="FILE...", help="Files and folders.", show_default=False),
        ],
        *,
        results: Annotated[
            Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results.")
        ],
        suffix: Annotated[
            str,
            typer.Option(
                "--format", help=f"Of the results: {', '.join([first, *others])}".replace(".", "")
            ),
        ] = first.removeprefix("."),
        server: Annotated[
            list[str] | None,
            typer.Option(
                metavar="URL",
                help="A running server; may be given several times, for several servers. "
                f"[dim]\\[default: {_SERVER_DEFAULT}][/]",
                show_default=False,
            ),
        ] = None,
        local: Annotated[
            bool, typer.Option("--local", help="Start a server for this command alone.")
        ] = False,
        engine: Annotated[
            EngineName,
            typer.Option(help="local: servers. ray: in process on a Ray cluster, without Triton."),
        ] = EngineName.local,
        weights: Annotated[
            Path | None,
            typer.Option(help="With --local or ray: weights in place of the default ones."),
        ] = None,
        model: ModelName = None,
        concurrency: Annotated[
            int, typer.Option(min=1, help="Requests that each server has at once.")
        ] = 16,
        timeout: Annotated[float, typer.Option(min=0.1, help="Seconds per request.")] = 60.0,
        patience: Annotated[
            float, typer.Option(min=0, help="Seconds to wait while no server answers.")
        ] = 600.0,
        ray_address: Annotated[
            str | None,
            typer.Option(
                metavar="HOST:PORT",
                help="A running Ray cluster, or auto. By default one is started here.",
            ),
        ] = None,
        actors: Annotated[
            int | None,
            typer.Option(min=1, help="Ray actors; by default one per CPU, or per GPU."),
        ] = None,
        device: Annotated[DeviceName, typer.Option(help="Of Ray actors.")] = DeviceName.cpu,
        chunk: Annotated[
            int, typer.Option(min=1, help="Items that are kept together; see the documentation.")
        ] = 512,
        force: Annotated[
            bool, typer.Option("--force", help="Begin anew, and overwrite results.")
        ] = False,
    ) -> None: ...

    return dict(inspect.signature(shared, eval_str=True, locals=locals()).parameters)


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


def _process(application: type[Application], bulk: Bulk, settings: _Settings) -> None:
    _refuse_contradictions(settings)
    from naiad.bulk.job import Job

    job = Job(
        application=application.name,
        bulk=bulk,
        paths=settings.paths,
        results=settings.results,
        suffix=f".{settings.suffix.removeprefix('.')}",
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

    urls, shown = settings.server or [_SERVER_DEFAULT], given_access()
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
for _application in applications():
    if _application.bulk is not None:
        app.command(_application.name)(_legacy(_application))
