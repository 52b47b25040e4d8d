"""Checks of an ensemble's steps against the models that they name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from naiad.triton.lint.finding import Finding, error
from naiad.triton.model_config import CONFIG, ModelConfig, TensorConfig, versions


@dataclass(frozen=True, slots=True)
class _Source:
    """The source of an ensemble's tensor."""

    what: str
    tensor: TensorConfig
    batched: bool

    @property
    def dims(self) -> tuple[int, ...]:
        return (-1, *self.tensor.dims) if self.batched else self.tensor.dims


def check_ensemble(
    config: ModelConfig, models: Mapping[str, ModelConfig], *, known: Collection[str]
) -> Iterator[Finding]:
    """Check the steps; ``models`` are those with a config, ``known`` the names of all."""
    steps = config.message.ensemble_scheduling.step
    if not steps:
        yield error(f"{CONFIG}: ensemble_scheduling has no step")
    batched = config.max_batch_size > 0
    sources = {t.name: _Source(f"input {t.name!r}", t, batched) for t in config.inputs}
    uses: list[tuple[str, str, _Source]] = []
    for number, step in enumerate(steps):
        where = f"{CONFIG}: ensemble_scheduling.step[{number}]"
        if step.model_name not in known:
            close = get_close_matches(step.model_name, known)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield error(f"{where}.model_name is {step.model_name!r}, which does not exist{hint}")
            continue
        model = models.get(step.model_name)
        if model is None:
            continue  # reported for that model
        yield from _check_step(config, where, step, model)
        own = model.max_batch_size > 0
        for tensor in model.outputs:
            if tensor.name in step.output_map:
                what = f"output {tensor.name!r} of {model.name}"
                sources[step.output_map[tensor.name]] = _Source(what, tensor, own)
        for tensor in model.inputs:
            if tensor.name in step.input_map:
                what = f"input {tensor.name!r} of {model.name}"
                field = f'{where}.input_map["{tensor.name}"]'
                uses.append((field, step.input_map[tensor.name], _Source(what, tensor, own)))
    complete = all(step.model_name in models for step in steps)
    uses += [
        (
            f"{CONFIG}: {tensor.field}.name",
            tensor.name,
            _Source("the ensemble's output", tensor, batched),
        )
        for tensor in config.outputs
    ]
    for field, name, use in uses:
        source = sources.get(name)
        if source is None:
            if complete:
                yield error(
                    f"{field} is {name!r}, which is not an input or a step's output; those are "
                    f"{', '.join(sources)}"
                )
        elif source.tensor.dtype and use.tensor.dtype and source.tensor.dtype != use.tensor.dtype:
            yield error(
                f"{field} is {name!r}: {source.what} is {source.tensor.dtype}, but {use.what} is "
                f"{use.tensor.dtype}"
            )
        elif not _may_be_the_same(source.dims, use.dims):
            yield error(
                f"{field} is {name!r}: {source.what} has shape {list(source.dims)}, but "
                f"{use.what} has {list(use.dims)}, including the batch dimension"
            )


def _check_step(
    config: ModelConfig, where: str, step: Any, model: ModelConfig
) -> Iterator[Finding]:
    there = versions(model.path)
    wanted = step.model_version
    if wanted not in (-1, *there):
        yield error(f"{where}.model_version is {wanted}; {model.name} has {there}")
    if config.max_batch_size > model.max_batch_size:
        yield error(
            f"{CONFIG}: max_batch_size is {config.max_batch_size}; that of {model.name}, a step, "
            f"is only {model.max_batch_size}"
        )
    given = {"input": step.input_map, "output": step.output_map}
    for kind, tensors in (("input", model.inputs), ("output", model.outputs)):
        names = [tensor.name for tensor in tensors]
        for name in given[kind] if tensors else ():
            if name not in names:
                yield error(
                    f"{where}.{kind}_map has {name!r}; {model.name} has the {kind}s "
                    f"{', '.join(names)}"
                )
    for tensor in model.inputs:
        if not tensor.optional and tensor.name not in given["input"]:
            yield error(f"{where}.input_map lacks {tensor.name!r}, an input of {model.name}")


def _may_be_the_same(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    if not one or not other:
        return True  # left to the model file
    return len(one) == len(other) and all(
        -1 in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True)
    )
