"""A whole repository: its folders, and each model in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from naiad.errors import EngineError, RepositoryError
from naiad.triton.lint.config import check_config
from naiad.triton.lint.ensemble import check_ensemble
from naiad.triton.lint.files import check_files
from naiad.triton.lint.finding import Finding, error, warning
from naiad.triton.lint.own_code import check_environment
from naiad.triton.model_config import CONFIG, ModelConfig, read_model_config, versions
from naiad.triton.paths import is_plain


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a repository.

    Attributes:
        repository: the folder.
        general: complaints about the repository itself.
        models: complaints about each model, by the name of its folder; none is good.
    """

    repository: Path
    general: tuple[Finding, ...]
    models: Mapping[str, tuple[Finding, ...]]

    @property
    def findings(self) -> list[Finding]:
        """All complaints."""
        return [*self.general, *(one for found in self.models.values() for one in found)]

    @property
    def errors(self) -> int:
        """How many of them are errors."""
        return sum(finding.severity == "error" for finding in self.findings)


def check_repository(
    repository: Path, *, load_files: bool = True, python_environment: Path | None = None
) -> Report:
    """Check a repository and every model in it.

    With ``load_files`` model files are loaded to compare their signatures with the configs, and
    pipelines are imported: they must be trusted. The Python in which a model's own ``model.py``
    runs is ``python_environment``, or as `default_python`.

    Raises:
        EngineError: there is no such folder, it is one model's, or the environment is none.
    """
    if not repository.is_dir():
        raise EngineError(f"{repository}: no such folder")
    if (repository / CONFIG).exists():
        raise EngineError(
            f"{repository} is a model, as it holds a {CONFIG}; give the repository that it is in: "
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
        found[name] += check_config(config)
        found[name] += check_files(config, load=load_files)
        if load_files:
            found[name] += check_environment(config, python_environment)
        if config.backend == "ensemble" or config.message.HasField("ensemble_scheduling"):
            found[name] += check_ensemble(config, configs, known=found.keys())
    return Report(
        repository,
        tuple(_check_whole(repository, empty=not found)),
        {name: tuple(findings) for name, findings in found.items()},
    )


def _check_whole(repository: Path, *, empty: bool) -> Iterator[Finding]:
    if not is_plain(repository.absolute()):
        yield warning(
            f"the path {str(repository.absolute())!r} has characters that Triton's Python backend "
            f"cannot take; `naiad serve` goes round it by a link, other servers do not"
        )
    if empty:
        yield error(f"{repository} holds no model: each is a folder with {CONFIG} and a version")


def _check_folder(folder: Path) -> Iterator[Finding]:
    """What makes a folder no model at all."""
    if not (folder / CONFIG).exists() and not versions(folder):
        yield error(
            f"{folder.name}/ has neither {CONFIG} nor a version, and Triton takes every folder of "
            f"a repository for a model: move it elsewhere"
        )
    elif not is_plain(Path(folder.name)) or folder.name.startswith("."):
        yield error(
            f"the folder's name {folder.name!r} cannot be a model's here; use letters, digits, - "
            f"and _"
        )
