"""What a service and its worker processes say to each other.

The messages are made by Naiad on both sides and travel over a private socket pair; what a client
sent is never in them but for names, sizes, request ids and scalar parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from naiad import errors
from naiad.error_text import kind_of, message_of
from naiad.errors import NaiadError, PipelineError
from naiad.pipeline import Contract, Parameter
from naiad.runtime.shared import Layout


@dataclass(frozen=True, slots=True)
class Task:
    """A batch on its way to the worker; the arrays themselves are in the arena."""

    layout: Layout
    sizes: list[dict[str, int]]
    ids: list[str]
    parameters: list[dict[str, Parameter]]


@dataclass(frozen=True, slots=True)
class Done:
    """A batch on its way back: per request a layout, or an error as (class name, message)."""

    layout: Layout
    failures: dict[int, tuple[str, str]]
    seconds: dict[str, float]
    batches: list[dict[str, int]]


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded, and this is what it takes."""

    contract: Contract


@dataclass(frozen=True, slots=True)
class Failed:
    """The model could not be loaded: the error as (class name, message)."""

    error: tuple[str, str]


def pack_error(error: NaiadError) -> tuple[str, str]:
    """An error as it travels between processes."""
    return kind_of(error).__name__, message_of(error)


def unpack_error(packed: tuple[str, str]) -> NaiadError:
    """The error again, of the class it was."""
    name, message = packed
    kind: Any = getattr(errors, name, PipelineError)
    return PipelineError(message) if kind is errors.MissingExtra else kind(message)
