"""``naiad.serve``: a running server from pipelines in one call."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naiad.application import applications
from naiad.core.fields import check, keywords, settings_of
from naiad.core.pipeline import Pipeline
from naiad.core.schema import Arrays
from naiad.core.settings import ModelSettings, ServeOptions, ServeSettings
from naiad.core.weights_choice import assign_weights
from naiad.errors import EngineError, InvalidInput, MissingExtra, SchemaError, WeightsError
from naiad.triton.command import ALL, check_repositories, exits_on_error
from naiad.triton.log_entries import LogEvent
from naiad.triton.logs import to_logger
from naiad.triton.paths import plain_temporary_directory
from naiad.triton.rebuild import Order
from naiad.triton.reloading import Reloading
from naiad.triton.repository import ExportedModel, class_of, export, naiad_models
from naiad.triton.server import Server
from naiad.triton.sources import source_of
from naiad.tuning import parse_tuning

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger(__name__)


@keywords(ServeOptions, ModelSettings, ServeSettings)
def serve(
    *pipelines: str | type[Pipeline],
    model_repository: Path | str | None = None,
    on_event: Callable[[LogEvent], None] | None = None,
    reload: bool = False,
    **settings: Unpack[ServeOptions],
) -> Server:
    """Serve pipelines on an embedded Triton; return when each has answered its example.

    Example::

        with naiad.serve("nugraph3") as server:
            server.client().nugraph3.infer(event)

    Args:
        pipelines: Pipeline classes, built-in names, ``my_model.py:MyModel`` or
            ``package.module:Class``; without a ``model_repository`` the default is all built-in
            ones whose packages are installed, except those `Application.on_request`.
        model_repository: a repository to serve as well.
        on_event: called with progress, warnings and errors.
        reload: replace a model when its source, a module beside it, or a file that it names is
            edited. What was served stays until the new version has answered its example.
        settings: the fields of :class:`naiad.core.settings.ModelSettings`, of which ``example`` and
            ``settings`` are for a single pipeline, and of
            :class:`naiad.core.settings.ServeSettings`. A ``device`` of cpu, if it is given, also
            counts for the models of ``model_repository`` that ask for a GPU. ``weights`` are for
            all pipelines, or by name: ``{"products": path, "gat": path}``. With model control
            ``explicit`` the pipelines are always loaded, and ``load`` names models of
            ``model_repository``.

    Raises:
        EngineError: see :meth:`Server.start`.
        SchemaError: no such pipeline, or it cannot be served with these settings, or reloaded.
        InvalidInput: a tuning cannot be read, or is for another pipeline; or the pipeline has no
            such setting.
        ValueError: own settings or an example for several pipelines.
    """
    if not pipelines and model_repository is None:
        served = [app for app in applications() if app.installed() and not app.on_request]
        pipelines = tuple(app.name for app in served)
        if not pipelines:
            raise MissingExtra("all", "torch")
    given: dict[str, Any] = {**settings}
    of_models = {
        one.name: given.pop(one.name) for one in fields(ModelSettings) if one.name in given
    }
    weights = of_models.pop("weights", None)
    model = settings_of(ModelSettings, of_models)
    if len(pipelines) != 1 and (model.settings or model.example):
        which = "an example" if model.example else "settings"
        raise ValueError(
            f"{which} need a single pipeline; serve the others without, or export them"
        )
    if weights is not None and not pipelines:
        raise ValueError("weights need a pipeline; name it")
    control, load = given.pop("model_control", "none"), given.pop("load", None)
    if reload and control == "none":
        control, load = "explicit", ALL
    if reload and control == "poll":
        raise EngineError("reload works with model control explicit, not with poll")
    if reload and not all(isinstance(one, str) for one in pipelines):
        raise SchemaError("reload needs a pipeline's file, such as my_model.py:MyModel")
    given |= {"model_control": control, "load": load}
    check(settings_of(ServeSettings, given), EngineError)
    if model.example:
        of_models["weights"] = weights
        model = settings_of(ModelSettings, of_models)
        assigned: list[tuple[str | type[Pipeline], Path | None]] = [(pipelines[0], model.weights)]
    else:
        assigned = assign_weights(weights, pipelines)
    kinds = [class_of(pipeline, model) for pipeline, _ in assigned]
    asked = {**of_models}
    if of_models.pop("example", None) is not None:
        of_models["settings"] = None  # the class has them
    name, number = Counter(kind.name for kind in kinds).most_common(1)[0] if kinds else ("", 0)
    if number > 1:
        raise SchemaError(f"{number} pipelines are called {name!r}; give one another name = ...")
    tunings = _by_pipeline(model.tuning, kinds)
    repositories: list[Path] = []
    temporary: list[Path] = []
    models: list[ExportedModel] = []
    orders: list[Order] = []
    reloading: Reloading | None = None
    try:
        if kinds:
            temporary.append(plain_temporary_directory("naiad-models-"))
            # A draft is beside the repository, and removed with it.
            repositories.append(temporary[0] / "models")
            for kind, (spec, path) in zip(kinds, assigned, strict=True):
                own: dict[str, Any] = {"tuning": tunings.get(kind.name), "weights": path}
                # Nothing can be run from some temporary directories.
                try:
                    made = export(kind, repositories[0], portable=False, **of_models | own)
                except WeightsError as error:
                    if len(kinds) == 1 or isinstance(weights, Mapping) or path is None:
                        raise
                    raise WeightsError(
                        f"{kind.name}: {error}; give weights by name if they are not for all: "
                        f"NAME=PATH"
                    ) from error
                models.append(made)
                orders.append(Order(str(spec), kind.name, str(repositories[0]), asked | own))
            if reload:
                reloading = Reloading(temporary[0], kinds, orders, on_event or to_logger)
        if model_repository is not None:
            repositories.append(Path(model_repository))
        load = load or ()
        given["load"] = ALL if "*" in load else (*(kind.name for kind in kinds), *load)
        check_repositories(repositories, may_be_empty=control != "none")
        if model_repository is not None:
            models += naiad_models(Path(model_repository))
        server = Server(
            *repositories,
            probes=_examples(models, needed=exits_on_error(settings_of(ServeSettings, given))),
            temporary=temporary,
            on_event=on_event,
            cpu=model_repository is not None and of_models.get("device") == "cpu",
            **given,
        )
        server.reloading = reloading
        server.orders = [
            order
            for kind, (spec, _), order in zip(kinds, assigned, orders, strict=True)
            if isinstance(spec, str) and source_of(kind) is not None
        ]
        return server.start()
    except BaseException:
        if reloading is not None:
            reloading.close()
        for path in temporary:
            shutil.rmtree(path, ignore_errors=True)
        raise


def _examples(models: Sequence[ExportedModel], *, needed: bool) -> dict[str, Arrays]:
    """Return the models' examples; unless ``needed``, of those that have one."""
    found: dict[str, Arrays] = {}
    for model in models:
        try:
            found[model.name] = model.example()
        except Exception as error:  # noqa: PERF203 - the user's code
            if needed:
                raise
            _log.warning("%s has no example to probe it with: %s", model.name, error)
    return found


def _by_pipeline(files: Sequence[Path], kinds: Sequence[type[Pipeline]]) -> dict[str, Path]:
    """Return the tuning files by pipeline name."""
    names = [kind.name for kind in kinds]
    found: dict[str, Path] = {}
    for file in files:
        name = parse_tuning(file).pipeline
        if name not in names:
            served = ", ".join(names) or "none but those of the model repository"
            raise InvalidInput(f"{file} is a tuning of model {name}; the pipelines are {served}")
        if name in found:
            raise InvalidInput(f"{found[name]} and {file} are both tunings of model {name}")
        found[name] = file
    return found
