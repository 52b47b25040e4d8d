"""Durations and sizes as people type them: ``250ms``, ``10s``, ``2m``; ``64MB``, ``2GiB``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

_SECONDS: Final = {
    "us": Fraction(1, 1_000_000),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_BYTES: Final = {
    "B": Fraction(1),
    **{f"{letter}B": Fraction(1000**power) for power, letter in enumerate("kMGT", 1)},
    **{f"{letter}iB": Fraction(1024**power) for power, letter in enumerate("KMGT", 1)},
}
_QUANTITY: Final = re.compile(r"([+-]?\d+(?:\.\d*)?(?:e[+-]?\d{1,3})?|[+-]?\.\d+)\s*([a-zA-Z]*)")


def seconds(text: str, bare: str = "s") -> float:
    """Read a duration; a number without a unit is in ``bare``.

    Raises:
        ValueError: it is not a duration; says what would be.
    """
    wanted = "a time such as 250ms, 10s or 2m"
    try:
        return float(_read(text, bare, _SECONDS, wanted))
    except OverflowError:
        raise ValueError(f"{text!r} is too large; it must be {wanted}") from None


def size(text: str, bare: str = "B") -> int:
    """Read a size in bytes; a number without a unit is in ``bare``.

    Raises:
        ValueError: it is not a size, or not a whole number of bytes; says what would be.
    """
    wanted = "a size such as 64MB or 2GiB"
    found = _read(text, bare, _BYTES, wanted)
    if found != int(found):
        raise ValueError(f"{text!r} is not a whole number of bytes; it must be {wanted}")
    return int(found)


def duration(value: float) -> str:
    """Format seconds as :func:`seconds` reads them."""
    if value == int(value):
        return f"{int(value)}s"
    short = f"{1000 * value:g}ms"
    return short if seconds(short) == value else f"{value!r}s"


def amount(value: int) -> str:
    """Format bytes as :func:`size` reads them, in the largest unit that divides them."""
    for unit, of in sorted(_BYTES.items(), key=lambda item: -item[1]):
        if value and value % of == 0:
            return f"{value // of}{unit}"
    return f"{value}B"


def _read(text: str, bare: str, units: Mapping[str, Fraction], wanted: str) -> Fraction:
    match = _QUANTITY.fullmatch(text.strip())
    unit = (match[2] or bare) if match else ""
    known = {name.lower(): of for name, of in units.items()}
    if match is None or unit.lower() not in known:
        raise ValueError(f"{text!r} is not {wanted}")
    return Fraction(match[1]) * known[unit.lower()]
