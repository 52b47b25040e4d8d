"""Checks of a whole repository: its folders and each model in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from naiad.errors import EngineError, RepositoryError
from naiad.triton.lint.config import check_config
from naiad.triton.lint.ensemble import check_ensemble
from naiad.triton.lint.files import check_files
from naiad.triton.lint.finding import Finding, error, warning
from naiad.triton.lint.own_code import check_environment, check_versions
from naiad.triton.model_config import CONFIG, ModelConfig, read_model_config, versions
from naiad.triton.paths import is_plain


@dataclass(frozen=True, slots=True)
class Report:
    """Findings in a repository.

    Attributes:
        repository: the folder.
        general: findings about the repository itself.
        models: findings about each model, by the name of its folder.
    """

    repository: Path
    general: tuple[Finding, ...]
    models: Mapping[str, tuple[Finding, ...]]

    @property
    def findings(self) -> list[Finding]:
        """All findings."""
        return [*self.general, *(one for found in self.models.values() for one in found)]

    @property
    def errors(self) -> int:
        """Number of errors among them."""
        return sum(finding.severity == "error" for finding in self.findings)


def check_repository(
    repository: Path,
    *,
    load_files: bool = True,
    python_environment: Path | None = None,
    cpu: bool = False,
) -> Report:
    """Check a repository and every model in it.

    With ``load_files`` model files are loaded to compare their signatures with the configs, and
    pipelines are set up and answer their examples: they must be trusted. A model's own ``model.py``
    runs in the Python ``python_environment``, or that of `default_python`. With ``cpu`` models that
    ask for a GPU are served on the CPU.

    Raises:
        EngineError: no such folder, it is a model, or the environment is invalid.
    """
    if not repository.is_dir():
        raise EngineError(f"{repository}: no such folder")
    if (repository / CONFIG).exists():
        raise EngineError(
            f"{repository} is a model, since it has a {CONFIG}; give its repository: "
            f"{repository.absolute().parent}"
        )
    found: dict[str, list[Finding]] = {}
    configs: dict[str, ModelConfig] = {}
    for folder in sorted(path for path in repository.iterdir() if path.is_dir()):
        found[folder.name] = list(_check_folder(folder))
        if found[folder.name]:
            continue
        try:
            configs[folder.name] = read_model_config(folder)
        except RepositoryError as problem:
            found[folder.name].append(error(str(problem)))
    for name, config in configs.items():
        found[name] += check_config(config, cpu=cpu)
        found[name] += check_files(config, load=load_files)
        if load_files:
            found[name] += check_environment(config, python_environment)
        if config.backend == "ensemble" or config.message.HasField("ensemble_scheduling"):
            found[name] += check_ensemble(config, configs, known=found.keys())
    general = [*_check_whole(repository, empty=not found)]
    if load_files:
        general += check_versions(configs.values(), python_environment)
    return Report(
        repository,
        tuple(general),
        {name: tuple(findings) for name, findings in found.items()},
    )


def _check_whole(repository: Path, *, empty: bool) -> Iterator[Finding]:
    if not is_plain(repository.absolute()):
        yield warning(
            f"the path {str(repository.absolute())!r} has characters that break Triton's Python "
            f"backend; `naiad serve` works around that with a link, other servers do not"
        )
    if empty:
        yield error(f"{repository} has no models: each is a folder with {CONFIG} and a version")


def _check_folder(folder: Path) -> Iterator[Finding]:
    """Check that a folder can be a model at all."""
    if not (folder / CONFIG).exists() and not versions(folder):
        yield error(
            f"{folder.name}/ has neither {CONFIG} nor a version, but Triton takes every folder of "
            f"a repository for a model: move it elsewhere"
        )
    elif not is_plain(Path(folder.name)) or folder.name.startswith("."):
        yield error(
            f"the folder's name {folder.name!r} cannot be a model's name; use letters, digits, - "
            f"and _"
        )
