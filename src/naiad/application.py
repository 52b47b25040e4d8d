"""Applications: models that are served and called by name.

An application is a class that an entry point of the group ``naiad.applications`` names::

    [project.entry-points."naiad.applications"]
    molecules = "molecules.task:Molecules"

Naiad's own are registered in the same way. A class in a file needs no entry point: ``naiad infer
molecules.py:Molecules``. An entry point of the group ``naiad.commands`` names a ``typer.Typer``
with further commands, ``naiad NAME VERB``.
"""

from __future__ import annotations

import logging
import re
import runpy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

from naiad.errors import InvalidInput

GROUP: Final = "naiad.applications"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of an application that has none."""


class Application:
    """A model that can be served by name, declared by its class.

    Every command that lists applications imports the module of the class, so import heavy packages
    inside its methods.

    Attributes:
        name: typed by users: ``naiad serve NAME``, ``client.NAME``.
        model: its name on the server, which existing clients may rely on; by default ``name``.
        summary: one line for lists and ``--help``.
        pipeline: ``module:Class`` of the `Pipeline`.
        network: ``module:function`` that makes a torch module from a folder of weights, if the
            model alone can be exported.
        packages: required where it is served.
        on_request: served only if it is named.
        demos: ``module:function`` of each demo by its name: ``naiad demo NAME``. The function
            takes the folder for its files.
        showcase: its demos come first, and ``naiad demo`` without a NAME runs the first.
        ServeOptions: a frozen dataclass whose fields become options of ``naiad serve``; see
            :meth:`specs` and :func:`naiad.core.fields.setting`.
        ExportOptions: the same for ``naiad export``.
    """

    name: ClassVar[str]
    model: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    pipeline: ClassVar[str]
    network: ClassVar[str | None] = None
    packages: ClassVar[tuple[str, ...]] = ()
    on_request: ClassVar[bool] = False
    demos: ClassVar[Mapping[str, str]] = {}
    showcase: ClassVar[bool] = False

    ServeOptions: ClassVar[type[Any]] = NoOptions
    ExportOptions: ClassVar[type[Any]] = NoOptions

    def __init_subclass__(cls) -> None:
        """Default the model's name to the application's."""
        super().__init_subclass__()
        if "name" in cls.__dict__ and "model" not in cls.__dict__:
            cls.model = cls.name

    @classmethod
    def client_of(cls, model: Any) -> Any:
        """Return the typed client for a `ModelClient` or `AsyncModelClient`; by default, that."""
        return model

    @classmethod
    def model_on(cls, client: Any) -> str:
        """Return the model's name on the server of a blocking `Client`, by default ``model``."""
        return cls.model

    @classmethod
    def requests_in(cls, path: Path) -> Iterator[Any] | None:
        """Yield the requests in a file or folder of the application's data, if it has data."""
        return None

    @classmethod
    def simulated_requests(cls, number: int, seed: int) -> Iterator[Any] | None:
        """Yield requests of realistic sizes, if the application can make them."""
        return None

    @classmethod
    def specs(cls, options: Any) -> Sequence[str]:
        """Return the specs of the pipelines that ``ServeOptions`` or ``ExportOptions`` ask for."""
        return ()

    @classmethod
    def installed(cls) -> bool:
        """Return whether ``packages`` are installed, without importing them."""
        return all(find_spec(package) is not None for package in cls.packages)


@cache
def applications() -> tuple[type[Application], ...]:
    """Return all registered applications by name; one that cannot be imported is logged."""
    found: list[type[Application]] = []
    for name, entry in _entries().items():
        try:
            found.append(_load(entry))
        except Exception as error:  # noqa: PERF203 - another package must not break this one
            _log.warning("application %s (%s) cannot be loaded: %s", name, entry.value, error)
    return tuple(sorted(found, key=lambda app: app.name))


def application(name: str) -> type[Application] | None:
    """Return the application with that name, or with a model of that name, or None."""
    entry = _entries().get(name)
    if entry is not None:
        return _load(entry)
    return next((app for app in applications() if name in (app.name, app.model)), None)


def application_of(spec: str) -> type[Application] | None:
    """Return the application of a ``module:Class``, or the only one of that module."""
    if exact := next((app for app in applications() if app.pipeline == spec), None):
        return exact
    module = spec.partition(":")[0]
    near = [app for app in applications() if app.pipeline.partition(":")[0] == module]
    return near[0] if len(near) == 1 else None


def application_in(spec: str) -> type[Application] | None:
    """Return the class that ``FILE.py:CLASS`` names; None if it is not an application.

    Raises:
        InvalidInput: no such file or class.
    """
    file, _, name = spec.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InvalidInput(f"{spec}: {file or spec}: no such file; give FILE.py:CLASS")
    module = re.sub(r"\W", "_", path.stem)
    found = runpy.run_path(str(path), run_name=module).get(name)
    if not isinstance(found, type):
        raise InvalidInput(f"{spec}: {file} has no class {name!r}")
    return found if issubclass(found, Application) else None


@cache
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(entry: EntryPoint) -> type[Application]:
    found = entry.load()
    if not (isinstance(found, type) and issubclass(found, Application)):
        raise InvalidInput(f"{entry.value} is not a naiad Application")
    return found
