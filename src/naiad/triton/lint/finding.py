"""What is wrong, or may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One complaint.

    Attributes:
        severity: with an ``error`` the model is not served, or not as its config says.
        message: which file or field, what is wrong with it, and what would be right.
    """

    severity: Severity
    message: str


def error(message: str) -> Finding:
    """An error."""
    return Finding("error", message)


def warning(message: str) -> Finding:
    """A warning."""
    return Finding("warning", message)
