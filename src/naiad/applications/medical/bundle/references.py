"""References in a bundle's config, followed without MONAI and without evaluating anything.

``@id`` and ``%id`` name another entry of the config, ``@_meta_::id`` one of the metadata, and
``%file.json::id`` one of another file; ``::``, formerly ``#``, goes a level down. This is for the
few entries that a bundle's contract depends on; in a worker MONAI's ``ConfigParser`` reads it all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from naiad.applications.medical.bundle.files import BundleFiles, read_config

META: Final = "_meta_"
"""Entry of a config that is the bundle's metadata."""

_MOST: Final = 16  # references to references
_FILE: Final = re.compile(r"%([^:#]+\.(?:json|ya?ml))(?:(?:::|#)(.*))?", re.IGNORECASE)


def look_up(files: BundleFiles, id: str) -> Any:
    """Return the entry of a bundle's config with this id, references followed; or None.

    Expressions (``$``) and relative references (``@::``) are returned as they are.

    Raises:
        RepositoryError: a config is wrong, or a macro names a file that is missing.
    """
    # Later configs override earlier ones, entry by entry.
    configs = [*reversed(files.configs()), {META: files.metadata}]
    value: Any = f"@{id}"
    for _ in range(_MOST):
        if not isinstance(value, str) or not re.match("[@%][^:#]", value):
            return value
        path, rest = split_macro(value)
        if path:
            return _inside(read_config(files.macro_file(path)), rest)
        entries = (_inside(config, value[1:]) for config in configs)
        value = next((entry for entry in entries if entry is not None), None)
    return None


def split_macro(value: str) -> tuple[str, str]:
    """Split a macro such as ``%net.json::unet`` into path and id; both are "" for other strings."""
    found = _FILE.fullmatch(value)
    return (found[1], found[2] or "") if found else ("", "")


def _inside(config: Any, id: str) -> Any:
    """Return the entry with an id in a config, or None."""
    if not id or (isinstance(config, Mapping) and id in config):
        return cast("Mapping[str, Any]", config)[id] if id else config
    for key in id.replace("#", "::").split("::"):
        if isinstance(config, Mapping):
            config = cast("Mapping[str, Any]", config).get(key)
        elif isinstance(config, list) and key.isdigit():
            config = dict(enumerate(cast("list[Any]", config))).get(int(key))
        else:
            return None
    return config
