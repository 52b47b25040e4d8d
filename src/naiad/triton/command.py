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
from naiad.triton.endpoints import GRPC_SUFFIX, Endpoints
from naiad.triton.engine import OWN_BACKENDS, Engine, Layout, has_gpu
from naiad.triton.model_config import read_model_config
from naiad.triton.paths import is_plain

# Backends that complete nothing but inputs and outputs.
_COMPLETED = ("python", "ensemble", *OWN_BACKENDS)

ALL = ("*",)
"""To load at the start: every model."""

_OFF = ("false", "0")  # how Triton reads an option that is there

_LARGEST_BODY = 2**31 - 1
"""Bytes of an HTTP request; 25.06 and later have 64 MiB by default, and the gate its own limit."""

_ADMINISTRATION = "shared-memory,model-repository,logging,trace"
"""The groups of Triton's endpoints that ask for the control key."""


def asks_for_tls(arguments: Iterable[str]) -> bool:
    """Whether further arguments of tritonserver ask for TLS on gRPC."""
    asked = (argument.partition("=") for argument in arguments)
    return any(
        option in ("--grpc-use-ssl", "--grpc-use-ssl-mutual") and value.lower() not in _OFF
        for option, _, value in asked
    )


def command_line(
    layout: Layout,
    repositories: Sequence[Path],
    settings: ServeSettings,
    endpoints: Endpoints,
    *,
    shared_memory: str,
    links: Path,
) -> list[str]:
    """The command that starts Triton.

    Args:
        layout: the assembled engine.
        repositories: what to serve.
        settings: how.
        endpoints: where to listen, and the control key.
        shared_memory: prefix of the files in ``/dev/shm``.
        links: where links may be made to repositories whose paths Triton cannot take.
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
        f"--exit-timeout-secs={settings.exit_timeout}",
        f"--model-control-mode={settings.model_control}",
    ]
    if settings.model_control == "explicit":
        command += [f"--load-model={name}" for name in loaded_first(settings)]
    if settings.model_control == "poll":
        command.append(f"--repository-poll-secs={settings.poll_seconds}")
    if settings.response_cache:
        command.append(f"--cache-config=local,size={settings.response_cache}")
    if not has_gpu():
        command += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
    if all(map(is_complete, repositories)):
        # To complete a configuration Triton starts each model's process once more: 1.7 s of the
        # 2 s that a small model takes to start. And it waits for ever for one that dies then.
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
        if ":" in address:  # each of the two servers has its own way to write IPv6 (seen in 2.51)
            address = f"[{address}]" if use == "gRPC" else f"ipv6:{address}"
        yield f"--{name}-address={address}"
        yield f"--{name}-port={endpoints.ports[use]}"


def _closed(control_key: str) -> Iterator[str]:
    """What nobody needs is off, and administration asks for the key."""
    yield "--allow-sagemaker=false"
    yield "--allow-vertex-ai=false"
    if control_key:
        yield f"--http-restricted-api={_ADMINISTRATION}:{HTTP_HEADER}={control_key}"
        yield f"--grpc-restricted-protocol={_ADMINISTRATION}:{HTTP_HEADER}={control_key}"


def _of_newer_versions(engine: Engine) -> Iterator[str]:
    """What later versions must be told to behave as 2.51 does."""
    if not engine.is_embedded and "--http-max-input-size" in _help(engine.tritonserver):
        yield f"--http-max-input-size={_LARGEST_BODY}"


@cache
def _help(tritonserver: Path) -> str:
    """What the program says of its options; "" where it does not run."""
    try:
        done = subprocess.run(
            [str(tritonserver), "--help"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout + done.stderr


def loaded_first(settings: ServeSettings) -> tuple[str, ...]:
    """The models that Triton loads at the start; ``*`` is all."""
    return ALL if settings.load is None or settings.model_control != "explicit" else settings.load


def check_settings(repositories: Sequence[Path], settings: ServeSettings) -> None:
    """Check that there is something to serve that Triton can take.

    Raises:
        EngineError: says which setting, repository or model is wrong, and how.
    """
    check(settings, EngineError)
    if settings.supervision is not None:
        check(settings.supervision, EngineError)
    check_repositories(repositories, may_be_empty=settings.model_control != "none")
    if (names := loaded_first(settings)) == ALL:
        return
    there = [model.name for path in repositories for model in model_directories(path)]
    for name in names:
        if name not in there:
            close = get_close_matches(name, there)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise EngineError(
                f"there is no model {name} to load; there are: {', '.join(there) or 'none'}{hint}"
            )


def check_repositories(repositories: Sequence[Path], *, may_be_empty: bool = False) -> None:
    """Check that Triton can take the repositories, and that each has a model, if it must.

    Raises:
        EngineError: says which repository or model is wrong, and how.
    """
    if not repositories:
        raise EngineError("there is no model repository to serve")
    for repository in repositories:
        if not repository.is_dir():
            raise EngineError(f"{repository}: no such folder")
        models = model_directories(repository)
        if not models and not may_be_empty:
            raise EngineError(
                f"{repository} holds no model; each is a folder with a config.pbtxt and a version, "
                f"as `naiad export` writes them"
            )
        for model in models:
            if not is_plain(Path(model.name)):
                raise EngineError(
                    f"the model's name {model.name!r} has characters that Triton's Python backend "
                    f"cannot take; use letters, digits, - and _"
                )


def model_directories(repository: Path) -> list[Path]:
    """The models' folders."""
    return sorted(
        path
        for path in repository.iterdir()
        if path.is_dir() and ((path / "config.pbtxt").exists() or any(path.glob("[0-9]*/")))
    )


def is_complete(repository: Path) -> bool:
    """Whether there are models, and every configuration says all that Triton could find out."""
    models = model_directories(repository)
    for model in models:
        try:
            config = read_model_config(model)
        except (EngineError, OSError):
            return False
        if config.backend not in _COMPLETED or not config.inputs or not config.outputs:
            return False
    return bool(models)


def _plain(repository: Path, link: Path) -> Path:
    if is_plain(repository):
        return repository
    if not link.is_symlink():  # of an earlier start
        link.symlink_to(repository)
    return link
