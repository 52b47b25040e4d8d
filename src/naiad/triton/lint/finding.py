"""Findings: errors and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        severity: an ``error`` keeps the model from being served as its config says.
        message: the file or field, what is wrong with it, and what would be right.
    """

    severity: Severity
    message: str


def error(message: str) -> Finding:
    """Return an error."""
    return Finding("error", message)


def warning(message: str) -> Finding:
    """Return a warning."""
    return Finding("warning", message)
