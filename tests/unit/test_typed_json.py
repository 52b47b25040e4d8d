"""JSON becomes the type that it must have, or an error that names the field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from naiad.core.budget import Budget
from naiad.typed_json import decode


@dataclass(frozen=True)
class Place:
    path: Path
    budget: Budget
    sizes: tuple[int, ...] = ()


def test_a_class_of_its_own_is_called_with_its_value() -> None:
    place = decode('{"path": "/a", "budget": {"nodes": 3}, "sizes": [1, 2], "more": 1}', Place)
    assert (place.path, dict(place.budget), place.sizes) == (Path("/a"), {"nodes": 3}, (1, 2))


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("{", Place, "^not JSON: "),
        ("[" * 100_000, list[int], "^not JSON: "),
        ("\0", int, "^not JSON: "),
        ("[1, 2]", Place, "Expected `object`, got `array`"),
        ("{}", Place, "missing required field `path`"),
        ('{"path": "a", "budget": {}, "sizes": [1, "2"]}', Place, r"- at `\$.sizes\[1\]`"),
        ('{"a": {"b": true}}', dict[str, dict[str, int]], "Expected `int`, got `bool`"),
    ],
)
def test_anything_else_is_refused(text: str, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(text, kind)


@pytest.mark.parametrize("given", ["1", "null", '"2"', "true"])
def test_another_format_is_refused(given: str) -> None:
    assert decode('{"format": 2}', dict[str, int], version=2)
    with pytest.raises(ValueError, match=r"^format .*; this Naiad reads format 2$"):
        decode(f'{{"format": {given}}}', dict[str, Any], version=2)
