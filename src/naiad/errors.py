"""Every error that Naiad raises on purpose, and its Triton status.

::

    NaiadError
    ├── InvalidInput       INVALID_ARG        the request is wrong: which tensor, where, why
    ├── PipelineError      INTERNAL           a hook raised, or returned a wrong result
    ├── Unavailable        UNAVAILABLE        the request may succeed later, or elsewhere
    │   └── StoreError                        a graph store is missing, locked or damaged
    ├── DeadlineExceeded   DEADLINE_EXCEEDED  no answer within the caller's deadline
    ├── ModelNotFound      NOT_FOUND          the server has no such model; lists those it has
    ├── NotAllowed         PERMISSION_DENIED  the key is missing or does not allow the request
    ├── SchemaError                           a pipeline class contradicts itself
    ├── WeightsError                          a weights file was refused, and why
    ├── ArtifactError                         a public file is unavailable, or another file
    ├── EngineError                           Triton cannot be started here, or died
    │   └── RepositoryError                   a model repository is wrong: which file and field
    └── MissingExtra                          a package of one of Naiad's extras is not installed

The first six cross the wire: a server replies with their code and message, and a client raises the
same class with the same message.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar


class NaiadError(Exception):
    """Base of all errors that Naiad raises on purpose.

    ``code`` is the name of its Triton status (``TRITONSERVER_Error_Code``).
    """

    code: ClassVar[str] = "INTERNAL"


class InvalidInput(NaiadError):
    """The request is wrong: names the tensor, the position, the value and what is right."""

    code = "INVALID_ARG"


class PipelineError(NaiadError):
    """A hook of the pipeline raised, or returned a result that its schema does not allow."""


class Unavailable(NaiadError):
    """The request cannot be served now; it may succeed later or elsewhere."""

    code = "UNAVAILABLE"


class StoreError(Unavailable):
    """A graph store is missing, locked, incomplete, damaged or unreachable; says what to do."""


class DeadlineExceeded(NaiadError):
    """No answer within the caller's deadline."""

    code = "DEADLINE_EXCEEDED"


class ModelNotFound(NaiadError):
    """The server has no model with this name or version."""

    code = "NOT_FOUND"


class NotAllowed(NaiadError):
    """The request has no key, a wrong one, or one without the right to make it."""

    code = "PERMISSION_DENIED"


class SchemaError(NaiadError):
    """A pipeline class declares something impossible, such as an index into no dimension."""


class WeightsError(NaiadError):
    """A weights file was refused: unreadable, of another architecture, or not safe to load."""


class ArtifactError(NaiadError):
    """A public file could not be downloaded, or its hash is not the expected one."""


class EngineError(NaiadError):
    """Triton cannot be started on this machine, or it died."""


class RepositoryError(EngineError):
    """A model repository cannot be served: names the file, the field and its value."""


class MissingExtra(NaiadError, ImportError):
    """A package that belongs to one of Naiad's extras is not installed."""

    def __init__(self, extra: str, package: str) -> None:
        """Name the ``extra`` to install and the ``package`` that was missing."""
        super().__init__(
            f"{package} is needed here and is not installed; run: {install_command(extra)}"
        )
        self.extra = extra
        self.package = package


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this Naiad, from the source of its installation.

    That is its clone, the folder or URL that pip installed it from, or else a package index.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    clone = Path(__file__).parents[2]
    if (clone / "pyproject.toml").is_file():
        return f'pip install -e "{clone}[{extra}]"'
    try:
        origin = distribution("naiad").read_text("direct_url.json")
    except PackageNotFoundError:
        origin = None
    source = f" @ {json.loads(origin)['url']}" if origin else ""
    return f'pip install "naiad[{extra}]{source}"'
