"""The models of the repositories that a server starts with, and those that it refuses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from naiad.core.settings import ServeSettings
from naiad.errors import EngineError, RepositoryError
from naiad.triton.command import ALL, loaded_first, model_directories
from naiad.triton.config import write_config
from naiad.triton.devices import device_problem, move_to_cpu
from naiad.triton.engine import Layout, assemble, find_engine, stubs
from naiad.triton.model_config import CONFIG, ModelConfig, read_model_config
from naiad.triton.own_code import common_python, own_code_in, problem_of
from naiad.triton.paths import is_plain
from naiad.triton.python_environment import default_python
from naiad.triton.startup import not_loaded


class Selection:
    """The models to serve of some repositories.

    A model that cannot run here is refused before Triton starts, which might wait for it forever.
    """

    def __init__(self, repositories: Sequence[Path], settings: ServeSettings, *, cpu: bool) -> None:
        """Take the repositories; with ``cpu`` models that ask for a GPU run on the CPU.

        Raises:
            EngineError: ``cpu`` with model control poll.
        """
        if cpu and settings.model_control == "poll":
            raise EngineError(
                "device cpu serves a copy of the repository as it is at the start; leave out model "
                "control poll, or the device"
            )
        self._repositories, self._settings, self._cpu = tuple(repositories), settings, cpu
        self.refused: dict[str, str] = {}
        """Reasons why models cannot be served, by name."""

    def lay_out(self) -> Layout:
        """Find the engine, and the models that cannot run in it.

        Raises:
            EngineError: no engine, or no model is left; or the models need several Pythons.
        """
        asked = self._settings.engine
        default = default_python(asked.python_environment)
        configs = self._configs()
        models, self.refused = own_code_in(configs, default)
        python = common_python(models, default)
        engine = find_engine(asked.engine, python, progress=sys.stderr.isatty())
        known = stubs(engine.home)
        self.refuse({model.name: problem_of(model, engine.version, known) for model in models})
        if not self._cpu:
            self.refuse({config.name: device_problem(config) for config in configs})
        self.refuse(dict(self._odd_names()))
        left = set(self._names()) - self.refused.keys()
        if self.refused and not left and self._settings.model_control == "none":
            raise EngineError(not_loaded(self.refused))
        return assemble(engine, directory=self._settings.backend_directory)

    def refuse(self, reasons: Mapping[str, str]) -> None:
        """Leave out the models that have a reason; an earlier one stands."""
        wanted = {*self._names()}
        new = {name: why for name, why in reasons.items() if why and name in wanted}
        self.refused = new | self.refused

    @property
    def settings(self) -> ServeSettings:
        """The server's settings; with model control explicit, those that are left are loaded."""
        if self._settings.model_control != "explicit" or not self.refused:
            return self._settings
        left = tuple(name for name in self._names() if name not in self.refused)
        return replace(self._settings, load=left)

    def repositories(self, folder: Path) -> tuple[Path, ...]:
        """Return the repositories for Triton: linked copies in ``folder`` where they differ.

        Triton has no means to leave a model out unless model control is explicit. With poll it sees
        the originals, and tries every model.
        """
        control = self._settings.model_control
        without = self.refused.keys() if control == "none" else ()
        if not without and not self._cpu:
            return self._repositories
        found: list[Path] = []
        for number, repository in enumerate(self._repositories):
            target = folder / f"linked-{number}"
            link_models(repository, target, without=without, cpu=self._cpu)
            found.append(target)
        return tuple(found)

    def _names(self) -> list[str]:
        names = loaded_first(self._settings)
        there = [path.name for one in self._repositories for path in model_directories(one)]
        return there if names == ALL else [name for name in there if name in names]

    def _odd_names(self) -> Iterator[tuple[str, str]]:
        for name in self._names():
            if not is_plain(Path(name)):
                yield (
                    name,
                    f"the model's name {name!r} has characters that break Triton's Python backend; "
                    f"use letters, digits, - and _",
                )

    def _configs(self) -> list[ModelConfig]:
        found: list[ModelConfig] = []
        for repository in self._repositories:
            for folder in model_directories(repository):
                with suppress(RepositoryError):  # Triton refuses it, and says why
                    found.append(replace(read_model_config(folder), name=folder.name))
        return found


def link_models(repository: Path, target: Path, *, without: Iterable[str], cpu: bool) -> None:
    """Make a repository of links to the models of another, in the new folder ``target``.

    Args:
        repository: the original.
        target: the copy; what is below a model's folder stays that of the original.
        without: names of models to leave out.
        cpu: give models that ask for a GPU a changed ``config.pbtxt``.
    """
    left_out = {*without}
    target.mkdir(parents=True)
    for model in sorted(repository.absolute().iterdir()):
        if model.name in left_out:
            continue
        changed = None
        if cpu and model.is_dir():
            with suppress(RepositoryError):  # Triton refuses it, and says why
                message = read_model_config(model).message
                changed = message if move_to_cpu(message) else None
        if changed is None:
            (target / model.name).symlink_to(model)
            continue
        (target / model.name).mkdir()
        for part in model.iterdir():
            if part.name != CONFIG:
                (target / model.name / part.name).symlink_to(part)
        write_config(changed, target / model.name / CONFIG)
