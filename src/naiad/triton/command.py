"""What Triton is told on its command line, and whether what it is to serve can be served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from naiad.errors import EngineError
from naiad.triton.config import read_config
from naiad.triton.engine import Layout, has_gpu, is_plain


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server serves, and how; see :class:`naiad.Server`."""

    repositories: tuple[Path, ...]
    host: str
    exit_timeout: int
    model_control: str
    arguments: tuple[str, ...]


def command_line(
    layout: Layout,
    settings: Settings,
    ports: Mapping[str, int],
    *,
    shared_memory: str,
    links: Path,
) -> list[str]:
    """The command that starts Triton.

    Args:
        layout: the assembled engine.
        settings: what to serve, and how.
        ports: for ``HTTP``, ``gRPC`` and ``metrics``.
        shared_memory: prefix of the files in ``/dev/shm``.
        links: where links may be made to repositories whose paths Triton cannot take.
    """
    command = [
        str(layout.engine.tritonserver),
        *(
            f"--model-repository={_plain(repository, links / f'repository-{number}')}"
            for number, repository in enumerate(settings.repositories)
        ),
        f"--backend-directory={layout.backends}",
        f"--cache-directory={layout.caches}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        f"--http-address={settings.host}",
        f"--http-port={ports['HTTP']}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={ports['gRPC']}",
        f"--metrics-address={settings.host}",
        f"--metrics-port={ports['metrics']}",
        f"--exit-timeout-secs={settings.exit_timeout}",
        f"--model-control-mode={settings.model_control}",
    ]
    if settings.model_control == "explicit":
        command.append("--load-model=*")
    if not has_gpu():
        command += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
    if all(map(is_complete, settings.repositories)):
        # To complete a configuration Triton starts each model's process once more: 1.7 s of the
        # 2 s that a small model takes to start.
        command.append("--disable-auto-complete-config")
    return [*command, *settings.arguments]


def check_repositories(repositories: Sequence[Path]) -> None:
    """Check that there is something to serve that Triton can take.

    Raises:
        EngineError: says which repository or model is wrong, and how.
    """
    if not repositories:
        raise EngineError("there is no model repository to serve")
    for repository in repositories:
        if not repository.is_dir():
            raise EngineError(f"{repository}: no such folder")
        models = model_directories(repository)
        if not models:
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
    """Whether every model's configuration says all that Triton could find out by itself."""
    for model in model_directories(repository):
        try:
            config = read_config(model / "config.pbtxt")
        except (EngineError, OSError):
            return False
        if config.backend != "python" or not config.input or not config.output:
            return False
    return True


def _plain(repository: Path, link: Path) -> Path:
    if is_plain(repository):
        return repository
    link.symlink_to(repository)
    return link
