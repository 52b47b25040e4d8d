"""``naiad.serve``: from pipelines to a running server in one call."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from naiad.application import applications
from naiad.core.pipeline import Pipeline, load_pipeline, spec_with_weights
from naiad.errors import InvalidInput, MissingExtra
from naiad.gate.settings import GateSettings
from naiad.triton.command import ALL, check_repositories
from naiad.triton.engine_settings import EngineSettings
from naiad.triton.logs import LogEvent
from naiad.triton.paths import plain_temporary_directory
from naiad.triton.repository import export, naiad_models
from naiad.triton.server import Server
from naiad.triton.supervisor import Supervision
from naiad.tuning import parse_tuning


def serve(
    *pipelines: str | type[Pipeline],
    model_repository: Path | str | None = None,
    weights: Path | str | None = None,
    instances: int | None = None,
    device: str = "cpu",
    latency_target: float | None = None,
    tuning: Path | str | Sequence[Path | str] = (),
    host: str = "127.0.0.1",
    http_port: int | None = 8000,
    grpc_port: int | None = 8001,
    metrics_port: int | None = 8002,
    metrics_host: str = "",
    health_host: str = "",
    gate: GateSettings | None = None,
    log_dir: Path | str | None = None,
    exit_timeout: int = 8,
    model_control: str = "none",
    load: Sequence[str] = (),
    poll_seconds: int = 15,
    response_cache: int = 0,
    arguments: Sequence[str] = (),
    health_port: int | None = None,
    supervision: Supervision | None = None,
    backend_directory: Path | str | None = None,
    engine: EngineSettings | None = None,
    on_event: Callable[[LogEvent], None] | None = None,
) -> Server:
    """Serve pipelines on an embedded Triton; returns when each has answered its example.

    Example::

        with naiad.serve("nugraph3") as server:
            server.client().nugraph3.infer(event)

    Args:
        pipelines: Pipeline classes, built-in names, ``my_model.py:MyModel`` or
            ``package.module:Class``; by default all built-in ones whose packages are
            installed and that need not be named (`Application.on_request`), unless there is a
            ``model_repository``.
        model_repository: a repository to serve beside them.
        weights: in place of the default weights; for one pipeline only.
        instances: copies of each model; by default one per core.
        device: ``"cpu"``, ``"cuda:0"``, ...
        latency_target: seconds within which requests should be answered: batches are kept smaller
            where more requests are then in time.
        tuning: files that ``naiad tune`` wrote, each for one of the pipelines.
        host: as the rest, see :class:`Server`.
        http_port: 0 or None takes a free port, as for the others.
        grpc_port: for gRPC.
        metrics_port: for Prometheus.
        metrics_host: the address of the metrics' port; by default loopback.
        health_host: the address of the health port; by default loopback.
        gate: how the gate in front is set up; beyond loopback there always is one.
        log_dir: where Triton's log goes.
        exit_timeout: seconds that requests in flight have to finish.
        model_control: whether models may come and go: ``none``, ``poll`` or ``explicit``.
        load: in the mode ``explicit``, the models of ``model_repository`` to load at the start,
            ``"*"`` for all; the ``pipelines`` always are.
        poll_seconds: in the mode ``poll``, the seconds between two looks at the repository.
        response_cache: bytes for the answers of models that have ``response_cache`` enabled.
        arguments: further command line of tritonserver.
        health_port: for ``/livez`` and ``/readyz``, and for a server that is restarted when it
            dies; None, the default, for neither.
        supervision: how it is probed and restarted.
        backend_directory: of backends that are preferred to Naiad's own.
        engine: which Triton, and the Python of a repository's own ``model.py``.
        on_event: told of progress, warnings and errors.

    Raises:
        EngineError: see :meth:`Server.start`.
        SchemaError: no such pipeline.
        InvalidInput: a tuning cannot be read, or is of no pipeline here.
        ValueError: weights for several pipelines.
    """
    if not pipelines and model_repository is None:
        served = [app for app in applications() if app.installed() and not app.on_request]
        pipelines = tuple(app.name for app in served)
        if not pipelines:
            raise MissingExtra("all", "torch")
    if weights is not None and len(pipelines) != 1:
        raise ValueError("weights are for one pipeline; serve the others without, or export them")
    if len(pipelines) == 1 and weights is not None and isinstance(pipelines[0], str):
        spec, weights = spec_with_weights(pipelines[0], Path(weights))
        pipelines = (spec,)
    kinds = [load_pipeline(p) if isinstance(p, str) else p for p in pipelines]
    tunings = _by_pipeline([tuning] if isinstance(tuning, Path | str) else tuning, kinds)
    repositories: list[Path] = []
    temporary: list[Path] = []
    exported: list[str] = []
    try:
        if kinds:
            temporary.append(plain_temporary_directory("naiad-models-"))
            repositories += temporary
            for kind in kinds:
                model = export(
                    kind,
                    temporary[0],
                    weights=Path(weights) if weights is not None else None,
                    instances=instances,
                    device=device,
                    latency_target=latency_target,
                    tuning=tunings.get(kind.name),
                    portable=False,  # temporary files may be where nothing can be run
                )
                exported.append(model.name)
        if model_repository is not None:
            repositories.append(Path(model_repository))
        check_repositories(repositories, may_be_empty=model_control != "none")
        probes = {m.name: m.example() for path in repositories for m in naiad_models(path)}
        server = Server(
            *repositories,
            host=host,
            http_port=http_port,
            grpc_port=grpc_port,
            metrics_port=metrics_port,
            metrics_host=metrics_host,
            health_host=health_host,
            gate=gate,
            log_dir=log_dir,
            exit_timeout=exit_timeout,
            probes=probes,
            temporary=temporary,
            model_control=model_control,
            load=ALL if "*" in load else (*exported, *load),
            poll_seconds=poll_seconds,
            response_cache=response_cache,
            arguments=arguments,
            health_port=health_port,
            supervision=supervision,
            backend_directory=backend_directory,
            engine=engine,
            on_event=on_event,
        )
        return server.start()
    except BaseException:
        for path in temporary:
            shutil.rmtree(path, ignore_errors=True)
        raise


def _by_pipeline(files: Sequence[Path | str], kinds: Sequence[type[Pipeline]]) -> dict[str, Path]:
    """The tuning file of each pipeline that has one, by its name."""
    names = [kind.name for kind in kinds]
    found: dict[str, Path] = {}
    for file in map(Path, files):
        name = parse_tuning(file).pipeline
        if name not in names:
            served = ", ".join(names) or "none but those of the model repository"
            raise InvalidInput(f"{file} is a tuning of model {name}; the pipelines are {served}")
        if name in found:
            raise InvalidInput(f"{found[name]} and {file} are both tunings of model {name}")
        found[name] = file
    return found
