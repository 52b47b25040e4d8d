"""Build tritonserver's command line and validate the repositories."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from naiad.control_key import HTTP_HEADER
from naiad.core.fields import check
from naiad.core.settings import ServeSettings
from naiad.errors import EngineError
from naiad.triton.backends.completion import needs_completion
from naiad.triton.endpoints import GRPC_SUFFIX, Endpoints
from naiad.triton.engine import OWN_BACKENDS, Engine, Layout, has_gpu
from naiad.triton.model_config import read_model_config
from naiad.triton.own_code import completes_itself
from naiad.triton.paths import is_plain

# Backends that complete only inputs and outputs.
_COMPLETED = ("python", "ensemble", *OWN_BACKENDS)

ALL = ("*",)
"""Names that load every model at the start."""

_OFF = ("false", "0")  # values by which Triton turns an option off

_LARGEST_BODY = 2**31 - 1
"""Maximum bytes of an HTTP request; 25.06 and later default to 64 MiB. The gate has its own."""

_ADMINISTRATION = "shared-memory,model-repository,logging,trace"
"""Groups of Triton's endpoints that require the control key."""

_TRACE_HEADER = "(?i)traceparent"


def exits_on_error(settings: ServeSettings) -> bool:
    """Return True if a model that does not load stops the others; an argument takes precedence."""
    value = str(settings.exit_on_error)
    for argument in settings.arguments:
        option, _, given = argument.partition("=")
        if option == "--exit-on-error":
            value = given
    return value.lower() not in _OFF


def asks_for_tls(arguments: Iterable[str]) -> bool:
    """Return True if extra arguments of tritonserver turn on TLS for gRPC."""
    asked = (argument.partition("=") for argument in arguments)
    return any(
        option in ("--grpc-use-ssl", "--grpc-use-ssl-mutual") and value.lower() not in _OFF
        for option, _, value in asked
    )


def services(arguments: Iterable[str]) -> set[str]:
    """Return those of Triton's services that extra arguments of tritonserver leave on."""
    found = {"http", "grpc", "metrics"}
    for argument in arguments:
        option, _, value = argument.partition("=")
        service = option.removeprefix("--allow-")
        if option.startswith("--allow-") and value.lower() in _OFF:
            found.discard(service)
    return found


def command_line(
    layout: Layout,
    repositories: Sequence[Path],
    settings: ServeSettings,
    endpoints: Endpoints,
    *,
    shared_memory: str,
    links: Path,
) -> list[str]:
    """Return the command that starts Triton.

    Args:
        layout: the assembled engine.
        repositories: the model repositories to serve.
        settings: the server's settings.
        endpoints: the addresses to listen on, and the control key.
        shared_memory: prefix of the files in ``/dev/shm``.
        links: a folder for links to repositories whose paths Triton cannot use.
    """
    command = [
        str(layout.engine.tritonserver),
        *(
            f"--model-repository={_plain(repository, links / f'repository-{number}')}"
            for number, repository in enumerate(repositories)
        ),
        f"--backend-directory={layout.backends}",
        f"--cache-directory={layout.caches}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        *_listening(endpoints),
        *_closed(endpoints.control_key),
        *_of_newer_versions(layout.engine),
        *_traced(settings),
        f"--exit-timeout-secs={settings.exit_timeout}",
        f"--model-control-mode={settings.model_control}",
    ]
    if settings.model_control == "explicit":
        command += [f"--load-model={name}" for name in loaded_first(settings)]
    if settings.model_control == "poll":
        command.append(f"--repository-poll-secs={settings.poll_seconds}")
    if not settings.exit_on_error:
        command.append("--exit-on-error=false")
    if settings.response_cache:
        command.append(f"--cache-config=local,size={settings.response_cache}")
    if not has_gpu():
        command += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
    if all(map(is_complete, repositories)):
        # To complete a configuration Triton starts each model's process an extra time: 1.7 s of
        # the 2 s that a small model takes to start. And it waits forever for one that dies then.
        command.append("--disable-auto-complete-config")
    return [*command, *settings.arguments]


def _listening(endpoints: Endpoints) -> Iterator[str]:
    if sockets := endpoints.sockets:
        yield f"--http-address=unix:{sockets.http}"
        yield f"--grpc-address=unix:{str(sockets.grpc).removesuffix(f':{GRPC_SUFFIX}')}"
        yield f"--grpc-port={GRPC_SUFFIX}"
        yield f"--metrics-address=unix:{sockets.metrics}"
        return
    metrics = endpoints.metrics_address or endpoints.address
    for use, name, address in (
        ("HTTP", "http", endpoints.address),
        ("gRPC", "grpc", endpoints.address),
        ("metrics", "metrics", metrics),
    ):
        if ":" in address:  # HTTP and gRPC write IPv6 differently (seen in 2.51)
            address = f"[{address}]" if use == "gRPC" else f"ipv6:{address}"
        yield f"--{name}-address={address}"
        yield f"--{name}-port={endpoints.ports[use]}"


def _closed(control_key: str) -> Iterator[str]:
    """Yield options that turn off unneeded endpoints and require the key for administration."""
    yield "--allow-sagemaker=false"
    yield "--allow-vertex-ai=false"
    if control_key:
        yield f"--http-restricted-api={_ADMINISTRATION}:{HTTP_HEADER}={control_key}"
        yield f"--grpc-restricted-protocol={_ADMINISTRATION}:{HTTP_HEADER}={control_key}"


def _traced(settings: ServeSettings) -> Iterator[str]:
    """Yield options by which a client's ``traceparent`` reaches the native backend."""
    if settings.otlp:
        yield f"--http-header-forward-pattern={_TRACE_HEADER}"
        yield f"--grpc-header-forward-pattern={_TRACE_HEADER}"


def _of_newer_versions(engine: Engine) -> Iterator[str]:
    """Yield options that make later versions behave like 2.51."""
    if not engine.is_embedded and "--http-max-input-size" in _help(engine.tritonserver):
        yield f"--http-max-input-size={_LARGEST_BODY}"


@cache
def _help(tritonserver: Path) -> str:
    """Return the program's help; "" if it does not run."""
    try:
        done = subprocess.run(
            [str(tritonserver), "--help"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout + done.stderr


def loaded_first(settings: ServeSettings) -> tuple[str, ...]:
    """Return the models that Triton loads at the start; ``*`` is all."""
    return ALL if settings.load is None or settings.model_control != "explicit" else settings.load


def check_settings(repositories: Sequence[Path], settings: ServeSettings) -> None:
    """Check that there is something to serve, and that Triton can serve it.

    Raises:
        EngineError: names the invalid setting, repository or model, and the reason.
    """
    check(settings, EngineError)
    if settings.supervision is not None:
        check(settings.supervision, EngineError)
    for needed in sorted({"http", "grpc"} - services(settings.arguments)):
        raise EngineError(f"--allow-{needed}=false: Naiad itself asks Triton over HTTP and gRPC")
    check_repositories(repositories, may_be_empty=settings.model_control != "none")
    if (names := loaded_first(settings)) == ALL:
        return
    there = [model.name for path in repositories for model in model_directories(path)]
    for name in names:
        if name not in there:
            close = get_close_matches(name, there)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise EngineError(
                f"no model {name} to load; the models are: {', '.join(there) or 'none'}{hint}"
            )


def check_repositories(repositories: Sequence[Path], *, may_be_empty: bool = False) -> None:
    """Check that Triton can use the repositories, and that each has a model, if it must.

    Raises:
        EngineError: names the invalid repository or model, and the reason.
    """
    if not repositories:
        raise EngineError("no model repository to serve")
    for repository in repositories:
        if not repository.is_dir():
            raise EngineError(f"{repository}: no such folder")
        if not model_directories(repository) and not may_be_empty:
            raise EngineError(
                f"{repository} has no models; each is a folder with a config.pbtxt and a version, "
                f"as written by `naiad export`"
            )


def model_directories(repository: Path) -> list[Path]:
    """Return the models' folders."""
    return sorted(
        path
        for path in repository.iterdir()
        if path.is_dir() and ((path / "config.pbtxt").exists() or any(path.glob("[0-9]*/")))
    )


def is_complete(repository: Path) -> bool:
    """Return True if there are models and no configuration needs to be completed."""
    models = model_directories(repository)
    for model in models:
        try:
            config = read_model_config(model)
        except (EngineError, OSError):
            return False
        if config.backend not in _COMPLETED or needs_completion(config):
            return False
        if completes_itself(config):
            return False
    return bool(models)


def _plain(repository: Path, link: Path) -> Path:
    if is_plain(repository):
        return repository
    if not link.is_symlink():  # it may be left from an earlier start
        link.symlink_to(repository)
    return link
