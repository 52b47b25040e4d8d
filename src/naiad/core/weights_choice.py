"""The weights for each of several pipelines: one file or folder for all, or one by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from naiad.core.pipeline import Pipeline, load_pipeline, spec_with_weights
from naiad.errors import InvalidInput

Weights: TypeAlias = "Path | str | Mapping[str, Path | str]"


def parse_weights(texts: Sequence[str]) -> Weights | None:
    """Return weights as they are typed: ``PATH``, or ``NAME=PATH`` any number of times.

    Raises:
        InvalidInput: a name is given twice; or a path without a name is not the only one.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            if len(texts) > 1:
                raise InvalidInput(
                    f"--weights {text} does not say for which model; with several, give each as "
                    "NAME=PATH"
                )
            return Path(text)
        if not name or not path:
            raise InvalidInput(f"--weights {text}: expected PATH or NAME=PATH")
        if name in found:
            raise InvalidInput(f"--weights {name}= is given twice: {found[name]} and {path}")
        found[name] = Path(path)
    return found or None


def assign_weights(
    weights: Weights | None, pipelines: Sequence[str | type[Pipeline]]
) -> list[tuple[str | type[Pipeline], Path | None]]:
    """Return each pipeline with its weights; one that is made from its weights is made from these.

    Args:
        weights: a path for all pipelines; or by name: what was asked for, such as ``gat``, or the
            model's name, such as ``gat_test``.
        pipelines: classes or specs.

    Raises:
        InvalidInput: a name is that of no pipeline, or two are of the same.
        SchemaError: no such pipeline.
    """
    if weights is None:
        return [(one, None) for one in pipelines]
    if not isinstance(weights, Mapping):
        return [_with(one, Path(weights)) for one in pipelines]
    chosen: dict[int, str] = {}
    for name in weights:
        found = [number for number, one in enumerate(pipelines) if name in _names(one)]
        if not found:
            served = ", ".join(_names(one)[0] for one in pipelines) or "none"
            raise InvalidInput(f"weights for {name}, but the pipelines are: {served}")
        for number in found:
            if number in chosen:
                raise InvalidInput(f"weights for {chosen[number]} and for {name} are of one model")
            chosen[number] = name
    return [
        _with(one, Path(weights[chosen[number]])) if number in chosen else (one, None)
        for number, one in enumerate(pipelines)
    ]


def _names(pipeline: str | type[Pipeline]) -> tuple[str, ...]:
    """Return what a pipeline may be called: as it was asked for, and as its model is."""
    if not isinstance(pipeline, str):
        return (pipeline.name,)
    return (pipeline, load_pipeline(pipeline).name)


def _with(
    pipeline: str | type[Pipeline], weights: Path
) -> tuple[str | type[Pipeline], Path | None]:
    return (
        spec_with_weights(pipeline, weights) if isinstance(pipeline, str) else (pipeline, weights)
    )
