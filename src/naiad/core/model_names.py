"""Names of models: each is a folder in a repository, and a part of URLs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from naiad.errors import SchemaError

_NAME: Final = re.compile(r"\w[\w.-]*")
_LONGEST: Final = 200  # bytes; file systems take 255, and drafts have longer names


def check_model_name(name: object, whose: str) -> None:
    """Check the name of a model; ``whose`` is the class or file that has it.

    Raises:
        SchemaError: it is no name of a folder, or too long.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(
            f"{whose}: name is {name!r}; it must consist of letters, digits, -, _ and ., and begin "
            "with a letter, a digit or _: the model's folder has this name"
        )
    if len(name.encode()) > _LONGEST:
        raise SchemaError(
            f"{whose}: name has {len(name.encode())} bytes; it may have {_LONGEST}: the model's "
            "folder has this name"
        )


def folder_of(repository: Path, name: object, whose: str) -> Path:
    """Return the folder of a model in a repository, never outside it.

    Raises:
        SchemaError: as for :func:`check_model_name`.
    """
    check_model_name(name, whose)
    return repository / str(name)
