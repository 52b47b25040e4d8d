"""Facts that the parts of the application share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from naiad.tasks.served import ServedTasks

MAX_BYTES: Final = 256_000_000
"""Largest request."""


@dataclass(frozen=True, slots=True)
class Surface:
    """The server and the limits from which the parts of the application are made.

    Attributes:
        tasks: the server's models and tasks; ``tasks.client`` asks it.
        url: where users reach the server, as for `naiad.Client`.
        http_url: where they reach KServe v2 over HTTP; ``/`` for the application's own address,
            "" if it is not known.
        secured: a gate in front asks for credentials.
        max_bytes: largest request, and so the largest upload.
        health: URL of the server's health port; None: where it is by default.
    """

    tasks: ServedTasks
    url: str
    http_url: str = ""
    secured: bool = False
    max_bytes: int = MAX_BYTES
    health: str | None = None
