"""``naiad serve``: pipelines on an embedded Triton until Ctrl-C."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from naiad.cli.mount import brought_options, specs_of
from naiad.cli.stopping import interruptible
from naiad.console import complain, errors, output, say, tell
from naiad.core.fields import changed, like
from naiad.core.settings import ModelSettings, ServeSettings
from naiad.errors import InvalidInput

if TYPE_CHECKING:
    from rich.progress import TaskID

    from naiad.triton.log_entries import LogEvent
    from naiad.triton.server import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class _Models(ModelSettings):
    """The settings of one or several models."""

    weights: tuple[str, ...] = like(  # pyright: ignore[reportIncompatibleVariableOverride]
        ModelSettings,
        "weights",
        default=(),
        help="Weights to use instead of the pipelines' default: PATH for all of them, or NAME=PATH "
        "for one; may be repeated.",
        metavar="[NAME=]PATH",
    )


def serve(
    context: typer.Context,
    pipelines: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PIPELINE",
            help="Built-in names, my_model.py:MyModel or package.module:Class; by default all "
            "installed built-in pipelines, unless a --model-repository is given.",
            show_default=False,
        ),
    ] = None,
    *,
    model_repository: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also serve this model repository.")
    ] = None,
    brought: Annotated[Any, brought_options("ServeOptions")],
    reload: Annotated[
        bool,
        typer.Option(
            "--reload",
            help="Replace a model when its file, a module beside it, its weights or its example "
            "is edited; what does not load does not disturb the version that is served.",
        ),
    ] = False,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Use four free ports.")] = False,
    models: _Models,
    server: ServeSettings,
) -> None:
    """Serve pipelines on an embedded Triton until Ctrl-C, and restart it if it dies.

    [bold]Examples[/]

      naiad serve
      naiad serve nugraph3 --instances 2
      naiad serve products products_recommend --weights shop-weights/
      naiad serve products gat --weights products=shop-weights/ --weights gat=cora-weights/
      naiad serve nugraph3 --tuning tuning.json --latency-target 50ms
      naiad serve my_model.py:MyModel --free-ports --set threshold=0.7
      naiad serve my_model.py:MyModel --reload
      naiad serve --bundle spleen_ct_segmentation/
      naiad serve nugraph3 --host 0.0.0.0 --api-keys keys.json --tls-cert cert.pem --tls-key key.pem
      naiad serve nugraph3 mednist --ui
      naiad serve nugraph3 --socket /run/user/1000/naiad.sock
      naiad serve --model-repository models/ --model-control-mode poll --poll-seconds 2
      naiad serve --model-repository models/ --model-control-mode explicit --load gat_test
      naiad serve --model-repository models/ --python-environment numpy1/
      naiad serve nugraph3 --engine /opt/tritonserver
    """
    from naiad.triton.engine import fetch_engine
    from naiad.triton.serving import serve as start

    asked = specs_of(brought)
    served = [*(pipelines or ()), *asked]
    if models.settings is not None and (asked or len(served) != 1):
        raise typer.BadParameter("--set applies to a single PIPELINE; name it")
    if models.weights and not served:
        raise typer.BadParameter("--weights applies to a PIPELINE; name it")
    of_models: dict[str, Any] = changed(models)
    if models.weights:
        try:
            from naiad.core.weights_choice import parse_weights

            of_models["weights"] = parse_weights(models.weights)
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from None
        if asked and isinstance(of_models["weights"], Path):
            raise typer.BadParameter(
                "--weights PATH is not for models that other options ask for; give NAME=PATH"
            )
    if server.load and server.model_control != "explicit":
        raise typer.BadParameter("--load requires --model-control-mode explicit")
    if reload and server.model_control == "poll":
        raise typer.BadParameter("--reload replaces models itself; leave out --model-control-mode")
    if free_ports:
        server = replace(server, http_port=0, grpc_port=0, metrics_port=0, health_port=0)
        if server.ui is not None:
            server = replace(server, ui=replace(server.ui, ui_port=0))
    running: Server | None = None
    display = _StartUp(reload=reload)
    with interruptible():
        try:
            fetch_engine(server.engine.engine, progress=True)  # its own display, before the next
            with display:
                running = start(
                    *served,
                    model_repository=model_repository,
                    on_event=display.show,
                    reload=reload,
                    **(_named_device(context) | of_models | changed(server)),
                )
            _print_ready(running)
            running.wait()
        except KeyboardInterrupt:
            if running is not None:
                running.keep_log = display.failed
            _stop(running, server.exit_timeout)
        finally:
            if running is not None:
                running.kill()  # does nothing if it has ended


def _named_device(context: typer.Context) -> dict[str, Any]:
    """Return the device if it was given, even if it is the default one."""
    source = context.get_parameter_source("device")
    given = source is not None and source.name == "COMMANDLINE"
    return {"device": context.params["device"]} if given else {}


class _StartUp:
    """A line per model while the server starts; then changes, warnings and errors."""

    def __init__(self, *, reload: bool) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(finished_text=Text("✓", "green")),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[good]}", style="green", markup=False),
            TextColumn("{task.fields[bad]}", style="red", markup=False),
            TimeElapsedColumn(),
            console=errors,
        )
        self._tasks: dict[str, TaskID] = {}
        self._over, self._reload = False, reload
        self.failed = False
        """True once there was an error, of Triton's or of a hook."""

    def __enter__(self) -> _StartUp:
        self._start_task("Triton", "starting")
        if errors.is_terminal:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._over = True

    def show(self, event: LogEvent) -> None:
        self.failed = self.failed or event.kind in ("failed", "error")
        if event.kind in ("reloaded", "not reloaded"):
            colour = "green" if event.kind == "reloaded" else "red"
            first, _, rest = event.text.partition("\n")
            tell((first, colour))
            if rest:
                tell(rest)
        elif self._over and self._reload and event.kind in ("loading", "ready", "unloaded"):
            pass  # "reloaded" follows
        elif event.kind == "unloaded":
            self._print_plainly(f"{event.model} {event.text} unloaded")
        elif event.kind == "loading":
            self._start_task(event.model, "loading")
        elif event.kind in ("ready", "failed"):
            colour, state = ("green", "loaded") if event.kind == "ready" else ("red", "failed")
            self._end_task(event.model, state, colour)
            if self._over and event.text:
                tell(("error:", "red"), f" {event.text}")
        elif event.kind == "listening" and event.text.startswith("HTTP"):
            self._end_task("Triton", "listening", "green")
        elif event.kind in ("warning", "error"):
            colour = "yellow" if event.kind == "warning" else "red"
            whose = f"{event.model}: " if event.model else ""
            tell((f"{event.kind}:", colour), f" {whose}{event.text}")
        elif event.kind == "printed":
            tell((f"{event.model}:", "dim"), f" {event.text}")

    def _start_task(self, name: str, state: str) -> None:
        self._tasks[name] = self._progress.add_task(f"{name} {state}", total=1, good="", bad="")
        self._print_plainly(f"{name} {state}")

    def _end_task(self, name: str, state: str, colour: str) -> None:
        if name in self._tasks:
            good, bad = (state, "") if colour == "green" else ("", state)
            self._progress.update(
                self._tasks[name], description=name, completed=1, good=good, bad=bad
            )
        self._print_plainly(f"{name} ", (state, colour))

    def _print_plainly(self, *parts: str | tuple[str, str]) -> None:
        if self._over or not errors.is_terminal:
            tell(*parts)


def _print_ready(server: Server) -> None:
    table = Table("model", "notice")
    for model in server.models:
        table.add_row(model, _parameter(server, model, "notice"))
    output.print()
    _say_who_may(server)
    if server.models:
        output.print(table)
    for model, reason in server.failed.items():
        complain(f"not served: {model}: {reason}")
    urls = Table.grid(padding=(0, 2))
    urls.add_row("gRPC", server.grpc_url)
    if server.http_url:
        urls.add_row("HTTP", server.http_url)
    if server.page_url:
        urls.add_row("page", server.page_url)
    urls.add_row("metrics", server.metrics_url)
    urls.add_row("health", f"{server.health_url}/readyz")
    urls.add_row("log", str(server.log_path))
    output.print(urls, soft_wrap=True)
    ready = f"\nready in {server.started_in:.1f} s"
    call = _example(server)
    if not server.models:
        ready += "; no model is loaded yet" + ("; load one:" if call else "")
    elif call:
        ready += "; try it:"
    output.print(f"{ready}\n")
    if call:
        say(call)
        output.print()
    output.print("Ctrl-C stops it")


def _example(server: Server) -> str:
    """Return a command or Python that runs as it is; "" if it would need a credential or CA."""
    from naiad.cli.example_call import example_call
    from naiad.triton.config import PIPELINE_PARAMETER

    gate = server.gate
    if gate is not None and (gate.has_credentials or gate.tls_cert):
        return ""
    if not server.models:
        there = [model.name for model in server.client().models()]
        return f"naiad load {there[0]} --url {shlex.quote(server.grpc_url)}" if there else ""
    model = next((m for m in server.probes if m in server.models), server.models[0])
    spec = _parameter(server, model, PIPELINE_PARAMETER)
    request = server.probes.get(model)
    return example_call(server.own_url, server.grpc_url, model, request, spec)


def _say_who_may(server: Server) -> None:
    """Print who can reach the server, and with which credential, if it has a gate."""
    gate = server.gate
    if gate is None:
        return
    where = "on this host" if server.is_local else "on other hosts"
    if not gate.has_credentials and not server.is_local:
        complain("INSECURE: these ports admit everyone who can reach them; see `naiad audit`")
        return
    named = {"an API key": gate.api_keys, "a token": gate.jwt_issuer}
    named["a client certificate"] = gate.tls_client_ca
    needed = " or ".join(name for name, given in named.items() if given) or "no credential"
    how = "over TLS" if gate.tls_cert else "unencrypted"
    output.print(f"for clients {where}, {how}, with {needed}; see `naiad audit`")


def _parameter(server: Server, model: str, name: str) -> str:
    parameters = server.client().config(model).get("parameters", {})
    return str(parameters.get(name, {}).get("string_value", ""))


def _stop(server: Server | None, exit_timeout: int) -> None:
    """Stop after requests in flight; at a second Ctrl-C, stop at once."""
    if server is None:
        errors.print("stopped before the server was ready")
        return
    errors.print(
        f"stopping: requests in flight have up to {exit_timeout} s; press Ctrl-C again to stop now"
    )
    try:
        server.stop()
    except KeyboardInterrupt:
        server.kill()
        errors.print("stopped without waiting")
        raise typer.Exit(130) from None
    finally:
        if server.keep_log:
            errors.print(f"the log, with errors: {server.log_path}", soft_wrap=True)
    errors.print("stopped")
