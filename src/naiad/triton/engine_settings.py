"""Which Triton serves, and what runs beside it; each field is an option of ``naiad serve``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where Triton's files are, and the Python of a repository's own ``model.py``."""

    engine: Path | None = field(
        default=None,
        metadata={
            "help": "A Triton that is installed: the folder with its bin/ and backends/; by "
            "default that of NAIAD_ENGINE, or /opt/tritonserver, or the one that Naiad fetches.",
            "metavar": "DIR",
        },
    )
    python_environment: Path | None = field(
        default=None,
        metadata={
            "help": "Where a repository's own model.py runs, as `naiad engine python-environment` "
            "makes it; by default that of NAIAD_PYTHON_ENVIRONMENT, or this Python.",
            "metavar": "DIR",
        },
    )
