"""JSON decoded into the type that it must have."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(text: str | bytes, kind: type[T], *, version: int | None = None) -> T:
    """Decode JSON into a ``kind``: a class, or a type such as ``list[str]``.

    Args:
        text: the JSON.
        kind: struct, dataclass, or type of built-in values. Another class is called with the
            value, an object's members as keywords.
        version: the number that ``format`` must have; None where the text has none.

    Raises:
        ValueError: the text is not JSON, has another format, or is not a ``kind``; names the field
            (``$.architecture.hidden``) and the type that it must have.
    """
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if version is not None:
        given = msgspec.convert(found, dict[str, Any]).get("format")
        if given != version:
            raise ValueError(f"format {given!r}; this Naiad reads format {version}")
    return msgspec.convert(found, kind, dec_hook=_made)


def _made(kind: Any, value: Any) -> Any:
    return kind(**value) if isinstance(value, dict) else kind(value)
