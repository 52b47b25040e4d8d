"""Requests that Triton's scheduler put together, run as one batch, and answered one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from naiad.errors import NaiadError, PipelineError
from naiad.schema import Array, Arrays

Model: TypeAlias = "Callable[[Arrays], dict[str, Array]]"
Outcome: TypeAlias = "dict[str, Array] | NaiadError"


def run_requests(model: Model, requests: Sequence[Arrays], *, batched: bool) -> list[Outcome]:
    """Run a model on requests, and answer each with its outputs or its error.

    Args:
        model: from arrays by input name to arrays by output name.
        requests: each with a leading batch dimension where ``batched``.
        batched: whether they may be concatenated along it. Those that differ in another dimension,
            or in which inputs they have, are not; where a batch fails, each is run by itself, so
            that one bad request does not fail the others.
    """
    outcomes: list[Outcome] = [PipelineError("this request was not run")] * len(requests)
    for numbers in _alike(requests) if batched else ([n] for n in range(len(requests))):
        for number, outcome in zip(
            numbers, _run_alike(model, [requests[n] for n in numbers]), strict=True
        ):
            outcomes[number] = outcome
    return outcomes


def _alike(requests: Sequence[Arrays]) -> list[list[int]]:
    groups: dict[tuple[tuple[str, tuple[int, ...]], ...], list[int]] = {}
    for number, arrays in enumerate(requests):
        key = tuple(sorted((name, array.shape[1:]) for name, array in arrays.items()))
        groups.setdefault(key, []).append(number)
    return list(groups.values())


def _run_alike(model: Model, requests: Sequence[Arrays]) -> list[Outcome]:
    if len(requests) == 1:
        return [_guarded(model, requests[0])]
    rows = [_rows(arrays) for arrays in requests]
    merged = {name: np.concatenate([r[name] for r in requests]) for name in requests[0]}
    outcome = _guarded(model, merged)
    if isinstance(outcome, NaiadError):
        return [_guarded(model, arrays) for arrays in requests]
    if any(array.ndim == 0 or len(array) != sum(rows) for array in outcome.values()):
        # Its output is not by row, whatever the config says: it cannot be cut.
        return [_guarded(model, arrays) for arrays in requests]
    return list(_split(outcome, rows))


def _split(outputs: Mapping[str, Array], rows: Sequence[int]) -> list[dict[str, Array]]:
    cuts = np.cumsum(rows)[:-1]
    parts = {name: np.split(array, cuts) for name, array in outputs.items()}
    return [{name: part[n] for name, part in parts.items()} for n in range(len(rows))]


def _rows(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _guarded(model: Model, arrays: Arrays) -> Outcome:
    try:
        return model(arrays)
    except NaiadError as error:
        return error
    except Exception as error:
        return PipelineError(f"the model failed: {type(error).__name__}: {error}")
