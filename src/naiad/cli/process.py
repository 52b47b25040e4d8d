"""``naiad process NAME``: process many files on servers or a Ray cluster; resume after a stop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import MISSING, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from naiad.application import Application
from naiad.cli import verbs
from naiad.cli.connect import given_access, open_client
from naiad.cli.fields import build, options, reshaped
from naiad.cli.stopping import Stopped, interruptible
from naiad.console import complain, errors, say
from naiad.core.fields import setting
from naiad.errors import Unavailable
from naiad.tasks.study_options import StudyOptions

if TYPE_CHECKING:
    from naiad.bulk.application import Bulk
    from naiad.bulk.engine import Engine
    from naiad.bulk.run import Summary
    from naiad.bulk.settings import Settings
    from naiad.tasks.study_bulk import StudyBulk


_SERVER_DEFAULT = "localhost:8001"


class EngineName(str, Enum):
    """Where the model runs."""

    local = "local"
    ray = "ray"


class DeviceName(str, Enum):
    """Device of Ray's actors."""

    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """Options shared by all applications."""

    results: Path = setting(
        MISSING, "Folder for the results.", flag="output", short=("-o",), metavar="DIR"
    )
    server: tuple[str, ...] = setting(
        (),
        f"A running server; repeat it for several servers. [dim]\\[default: {_SERVER_DEFAULT}][/]",
        short=("--url",),
        metavar="URL",
    )
    local: bool = setting(False, "Start a server for this command only.")
    engine: EngineName = setting(
        EngineName.local, "local: servers. ray: actors of a Ray cluster, without Triton."
    )
    weights: Path | None = setting(
        None, "With --local or --engine ray: weights to use instead of the default ones."
    )
    model: str | None = setting(
        None,
        "Name of the model on the server, if it is served under another one.",
        metavar="NAME",
    )
    concurrency: int = setting(16, "Concurrent requests to each server.", min=1)
    timeout: float = setting(60.0, "Maximum time for a request.", unit="s", above=0)
    patience: float = setting(600.0, "Time to wait for a server if none answers.", unit="s", min=0)
    ray_address: str | None = setting(
        None,
        "A running Ray cluster, or auto. By default, start one here.",
        metavar="HOST:PORT",
    )
    actors: int | None = setting(
        None, "Number of Ray actors; by default one per CPU, or per GPU.", min=1
    )
    device: DeviceName = setting(DeviceName.cpu, "Device of Ray actors.")
    chunk: int = setting(512, "Number of items processed and saved together.", min=1)
    force: bool = setting(False, "Start over, and overwrite results.")


def command_of(
    application: type[Application],
    kind: Any,
    make: Callable[[Any], Bulk],
    suffixes: Sequence[str],
    example: str,
    studies: Callable[[Any, StudyOptions, Path], StudyBulk] | None = None,
) -> Callable[..., None]:
    """Make ``naiad process APPLICATION``; ``kind`` is the dataclass of its options.

    ``studies`` makes the `Bulk` of an application that takes studies from an archive.
    """
    first, *others = suffixes

    def process(**given: Any) -> None:
        own, chosen = build(kind, given), build(_Options, given)
        paths: list[Path] = given["paths"] or []
        bulk: Bulk | None = None
        if studies is not None:
            from_where = build(StudyOptions, given)
            from_where.check(paths=bool(paths))
            if from_where.source is not None:
                if chosen.engine is EngineName.ray:
                    raise typer.BadParameter("--engine ray takes files; leave out --from")
                found = studies(own, from_where, chosen.results)
                bulk, paths = found, [found.search()]
        if not paths:
            raise typer.BadParameter("give files or folders", param_hint="FILE")
        _process(application, bulk or make(own), paths, given["format"], chosen)

    def shared(
        paths: Annotated[
            list[Path],
            typer.Argument(metavar="FILE...", help="Files and folders.", show_default=False),
        ],
        format: Annotated[
            str,
            typer.Option(
                "--format",
                help=f"Format of results: {', '.join([first, *others])}".replace(".", ""),
            ),
        ] = first.removeprefix("."),
    ) -> None: ...

    files, format = inspect.signature(shared, eval_str=True, locals=locals()).parameters.values()
    process.__doc__ = _help(application, example)
    if studies is not None:  # they may take the place of files
        files = files.replace(default=None)
    more = [] if studies is None else options(StudyOptions)
    return reshaped(process, [files, *options(kind), *options(_Options), format, *more])


def _help(application: type[Application], files: str) -> str:
    name = application.name
    return f"""Process any number of files with {name}: {application.summary}.

    Results go to a folder, with a file for each input. To resume a run that was stopped or killed,
    give the same command again. Items that cannot be read, or that the model refuses, do not stop
    the others: they are listed in failures.csv, and the exit status is 1.

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
    chosen: _Options,
) -> None:
    _refuse_contradictions(chosen)
    from naiad.bulk.settings import Settings
    from naiad.tasks.study_bulk import StudyBulk

    settings = Settings(
        application=application.name,
        bulk=bulk,
        paths=paths,
        results=chosen.results,
        suffix=f".{format.removeprefix('.').lower()}",
        chunk=chosen.chunk,
        force=chosen.force,
    )
    try:
        # A second Ctrl-C does not wait for the server to stop; its reaper ends it anyway.
        with interruptible(once=True) as wakes, ExitStack() as stack:
            engine = _engine(application, chosen, stack, wakes)
            if isinstance(bulk, StudyBulk):
                bulk.model = str(getattr(engine, "model", bulk.model))
            summary = _run(settings, engine)
    except Stopped as stop:
        complain(f"Stopped. Finished work is in {chosen.results}; run the same command to resume.")
        raise typer.Exit(stop.status) from None
    _say_what_was_done(settings, summary)
    if summary.failed or summary.unread:
        raise typer.Exit(1)


def _refuse_contradictions(chosen: _Options) -> None:
    on_ray = chosen.engine is EngineName.ray
    if chosen.local and chosen.server:
        raise typer.BadParameter("give either --local or --server: --local starts a server")
    if on_ray and (chosen.local or chosen.server):
        raise typer.BadParameter("--engine ray runs without a server; omit --server and --local")
    if chosen.weights is not None and not (chosen.local or on_ray):
        raise typer.BadParameter(
            "--weights requires --local or --engine ray; a running server has its own"
        )
    if on_ray and chosen.model is not None:
        raise typer.BadParameter("--model is for servers; --engine ray loads the model itself")
    if not on_ray and (chosen.ray_address or chosen.actors or chosen.device.value != "cpu"):
        raise typer.BadParameter("--ray-address, --actors and --device require --engine ray")


def _engine(
    application: type[Application],
    chosen: _Options,
    stack: ExitStack,
    wakes: list[Callable[[], None]],
) -> Engine:
    """Start an engine that ``stack`` stops; functions added to ``wakes`` end its waiting."""
    if chosen.engine is EngineName.ray:
        from naiad.bulk.on_ray import OnRay, RaySettings

        ray = RaySettings(
            address=chosen.ray_address, actors=chosen.actors, device=chosen.device.value
        )
        with errors.status("starting Ray"):
            return stack.enter_context(OnRay(application.name, chosen.weights, ray))
    from naiad.bulk.on_servers import OnServers
    from naiad.bulk.servers import Servers
    from naiad.client.access import NO_ACCESS

    urls, shown = [*chosen.server] or [_SERVER_DEFAULT], given_access()
    if chosen.local:
        from naiad.triton.serving import serve

        with errors.status("starting Triton"):
            # With a health port it is supervised, and restarted if it dies.
            server = serve(
                application.name,
                weights=chosen.weights,
                http_port=0,
                grpc_port=0,
                metrics_port=0,
                health_port=0,
            )
        stack.enter_context(server)
        urls, shown = [server.grpc_url], NO_ACCESS
    model = chosen.model
    if model is None:
        with open_client(urls[0]) as client:  # most applications do not use it
            model = application.model_on(client)
    servers = Servers(
        urls,
        model,
        concurrency=chosen.concurrency,
        timeout=chosen.timeout,
        patience=chosen.patience,
        on_event=complain,
        access=shown,
    )
    stack.enter_context(servers)
    try:
        servers.start()
    except Unavailable as error:
        raise Unavailable(
            f"{error}; start one with `naiad serve {application.name}`, or add --local to start "
            "one for this command only"
        ) from None
    wakes.append(servers.cancel)
    return OnServers(servers)


def _run(settings: Settings, engine: Engine) -> Summary:
    from naiad.bulk.run import run

    return run(settings, engine, errors)


def _say_what_was_done(settings: Settings, summary: Summary) -> None:
    unit = settings.bulk.unit
    before = f", {summary.before:,} of them from earlier runs" if summary.before else ""
    pace = f", {summary.rate:,.1f} {unit} per second" if summary.rate else ""
    say(
        f"{_count(summary.written, unit)} of {_count(summary.inputs, 'inputs')} are in ",
        (str(settings.results), "bold"),
        f"{before}{pace}",
    )
    for path, reason in summary.unread.items():
        complain(f"{path}: {reason}")
    if summary.report is not None:
        failed = (
            f"1 {unit.removesuffix('s')}" if summary.failed == 1 else f"{summary.failed:,} {unit}"
        )
        complain(f"{failed} failed; see {summary.report}")


def _count(number: int, plural: str) -> str:
    return f"{number:,} {plural.removesuffix('s') if number == 1 else plural}"


app = verbs.group("process", "Process many files; resume after a stop.")
