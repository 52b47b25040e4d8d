"""Model repositories: one complete, portable folder per model.

::

    DIR/nugraph3/config.pbtxt      from the schema
    DIR/nugraph3/X.labels.txt      names of output X's classes, if the pipeline has them
    DIR/nugraph3/1/libtriton_naiad.so  Naiad's part of Triton's process
    DIR/nugraph3/1/pipeline.py     the pipeline's source, if it is a file of the user's
    DIR/nugraph3/1/weights/        the weights

The same folder works in any Triton with a Python that has Naiad on its ``PATH``.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from naiad.core.fields import check, keywords, settings_of, to_parameters
from naiad.core.model_names import folder_of
from naiad.core.own_settings import declared
from naiad.core.pipeline import (
    MADE,
    Pipeline,
    load_pipeline,
    make_pipeline,
    service_of,
    with_weights,
)
from naiad.core.schema import Arrays
from naiad.core.settings import ModelOptions, ModelSettings
from naiad.core.user_modules import is_of_session
from naiad.errors import EngineError, InvalidInput, SchemaError
from naiad.hub_card import CARD_PARAMETER, card_json
from naiad.native.library import LIBRARY, library
from naiad.runtime.mixing import tried
from naiad.triton.atomic_replace import draft_of
from naiad.triton.config import (
    ORIGIN_PARAMETER,
    PIPELINE_PARAMETER,
    model_config,
    parameters_of,
    read_config,
    read_parameters,
    write_config,
)
from naiad.triton.model_config import versions
from naiad.triton.sources import place_source, source_of
from naiad.tuning import read_tuning
from naiad.weights import placed_name

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """One model of a repository that Naiad wrote.

    Attributes:
        name: the model's name.
        path: its folder, with ``config.pbtxt`` and ``1/``.
        notice: a notice about its weights for users, or "".
        made: what was exported, if that was in this process; its weights may be elsewhere.
    """

    name: str
    path: Path
    notice: str = ""
    made: Pipeline | None = field(default=None, repr=False, compare=False)

    def pipeline(self, version: int | None = None) -> Pipeline:
        """Return the pipeline of a version, by default the newest, without loading its model."""
        parameters = read_parameters(read_config(self.path / "config.pbtxt"))
        number = version or max(versions(self.path), default=1)
        folder = self.path / str(number)
        spec = resolve(parameters[PIPELINE_PARAMETER], folder)
        weights = parameters.get("weights")
        own = json.loads(parameters.get("settings", "null"))
        path = folder / weights if weights else None
        runtime: Any = parameters.get("runtime")
        return make_pipeline(load_pipeline(spec), path, own, runtime)

    def example(self, version: int | None = None) -> Arrays:
        """Return a request that the model answers."""
        return (self.made or self.pipeline(version)).example()


@keywords(ModelOptions, ModelSettings)
def export(
    pipeline: str | type[Pipeline],
    directory: Path,
    *,
    portable: bool = True,
    compare: bool = False,
    **settings: Unpack[ModelOptions],
) -> ExportedModel:
    """Write a pipeline's model folder into the repository ``directory``.

    Args:
        pipeline: a Pipeline class, or a spec for :func:`naiad.core.pipeline.load_pipeline`.
        directory: the model repository; created if missing.
        portable: put the compiled backend beside the model, for a Triton that Naiad did not start;
            otherwise the user's files run under the names of the originals.
        compare: set the model up in this process; answer its example, and a second request, alone
            and merged. A warning is logged if the answers differ, since requests are then served
            one by one, and if the model cannot be run here.
        settings: the fields of :class:`naiad.core.settings.ModelSettings`. They take precedence
            over a tuning, and that over the pipeline's own.

    Raises:
        SchemaError: no such pipeline, its source was not found, or the settings are invalid.
        WeightsError: the weights do not exist or are refused.
        InvalidInput: the tuning is for another pipeline or device, or cannot be read; or the
            pipeline has no such setting.
        EngineError: a folder of that name exists that Naiad did not write, or has a pipeline of
            another file.

    A folder that Naiad wrote is replaced atomically, even under a server that polls.
    """
    given = settings_of(ModelSettings, settings)
    kind = class_of(pipeline, given)
    if given.example is not None:
        given = replace(given, settings=None)  # the class has them
    if len(given.tuning) > 1:
        raise InvalidInput(f"{len(given.tuning)} tunings for one pipeline; give one")
    tuned = read_tuning(given.tuning[0], kind.name, given.device) if given.tuning else None
    service = service_of(kind, given, tuned)
    check(service, SchemaError)
    made = make_pipeline(kind, given.weights, given.settings, service.runtime)
    target = folder_of(directory, kind.name, kind.__name__)
    origin = _origin(kind)
    if target.exists():
        _refuse_other(target, origin)
    with draft_of(target) as draft:
        version = draft / "1"
        version.mkdir()
        if made.weights_path is None:
            saved = made.save_weights(version)
            placed = None if saved is None else saved.name
        else:
            placed = _place_weights(made.weights_path, version)
        if kind.made_by:
            spec = f"{kind.made_by}({placed})"
        else:
            spec = place_source(kind, version, portable=portable)
        parameters = {PIPELINE_PARAMETER: spec, "device": given.device, **to_parameters(service)}
        if origin is not None:
            parameters[ORIGIN_PARAMETER] = origin
        if tuned is not None:
            parameters["budget"] = json.dumps(dict(tuned.budget))
            parameters["cost"] = json.dumps(tuned.cost.to_json())
        if (own := declared(made)) is not None:
            parameters["settings"] = json.dumps(asdict(own))
        if placed is not None:
            parameters["weights"] = placed
        parameters |= made.metadata()
        if (told := card_json(made.weights_path)) is not None:
            parameters[CARD_PARAMETER] = told
        label_files = _place_labels(made, draft)
        config = model_config(kind, parameters, label_files=label_files)
        write_config(config, draft / "config.pbtxt")
        if portable:
            shutil.copyfile(library(), version / LIBRARY)
    if compare and (wrong := tried(made, given.device)):
        _log.warning("%s", wrong)
    return ExportedModel(kind.name, target, parameters.get("notice", ""), made)


def _origin(kind: type[Pipeline]) -> str | None:
    """Return the names of the user's file that a class is of and of the class, or None."""
    if kind.made_by or is_of_session(kind) or (file := source_of(kind)) is None:
        return None
    return f"{file.name}:{kind.__qualname__}"


def _refuse_other(target: Path, origin: str | None) -> None:
    """Raise EngineError if a folder was not written by Naiad, or for a pipeline of another file."""
    parameters = parameters_of(target)
    if PIPELINE_PARAMETER not in parameters:
        raise EngineError(f"{target} exists and was not written by Naiad; choose another folder")
    before = parameters.get(ORIGIN_PARAMETER)
    if before is not None and before != origin:
        raise EngineError(
            f"{target} has a pipeline of the same name, {before}; give this one "
            "another name = ..., or remove that folder"
        )


def class_of(pipeline: str | type[Pipeline], given: ModelSettings) -> type[Pipeline]:
    """Return the class to serve: a pipeline, or one made of a network and its example.

    Raises:
        SchemaError: not found; or the network cannot be called with the example.
        WeightsError: the network's weights cannot be read safely.
    """
    if not isinstance(pipeline, str):
        return with_weights(pipeline, given.weights)
    if given.example is None:
        return with_weights(load_pipeline(pipeline), given.weights)
    from naiad.geometric.pipeline import of_network

    return of_network(pipeline, given.example, given.settings or {}, given.weights)


def naiad_models(directory: Path) -> Iterator[ExportedModel]:
    """Yield the models of a repository that Naiad wrote, by name."""
    for path in sorted(directory.iterdir()):
        parameters = parameters_of(path)
        if PIPELINE_PARAMETER in parameters:
            yield ExportedModel(path.name, path, parameters.get("notice", ""))


def resolve(spec: str, version: Path) -> str:
    """Return a spec from ``config.pbtxt`` with paths of its files in ``version``."""
    where, colon, name = spec.partition(":")
    if made := MADE.fullmatch(name):
        name = f"{made[1]}({version / made[2]})"
    return f"{version / where if where.endswith('.py') else where}{colon}{name}"


def _place_labels(pipeline: Pipeline, draft: Path) -> dict[str, str]:
    """Write the label files, one label per line; return their names by output.

    Raises:
        SchemaError: labels that Triton would misread.
    """
    names: dict[str, str] = {}
    for output, labels in pipeline.labels().items():
        if output not in pipeline.outputs:
            raise SchemaError(f"labels for {output!r}, which is not an output of {pipeline.name}")
        for number, label in enumerate(labels):
            if not label or len(label.splitlines()) > 1:
                raise SchemaError(f"label {number} of {output} is {label!r}; it must be one line")
        classes = pipeline.outputs[output].dims[-1]
        if isinstance(classes, int) and len(labels) != classes:
            raise SchemaError(f"{output} has {classes} classes, but {len(labels)} labels")
        names[output] = f"{re.sub(r'[^A-Za-z0-9_.-]', '_', output)}.labels.txt"
        text = "".join(f"{label}\n" for label in labels)
        (draft / names[output]).write_text(text, encoding="utf-8")
    return names


def _place_weights(weights: Path, version: Path) -> str:
    """Copy the weights; return their name in the folder ``version``."""
    name = placed_name(weights)
    if weights.is_dir():
        shutil.copytree(weights, version / name)
    else:
        shutil.copyfile(weights, version / name)
    return name
