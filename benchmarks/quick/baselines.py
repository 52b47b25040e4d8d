"""Stored counts of kinds of machines, and comparison with them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.nugraph3.page import processor

STORED: Final = Path(__file__).parent / "baselines.json"
MOST: Final = 1.1
"""Count at which a case has become slower, as a multiple of its baseline."""

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """A case's counts; None where there is none.

    Attributes:
        name: of the case.
        before, now: instructions of one call.
    """

    name: str
    before: int | None
    now: int | None

    @property
    def ratio(self) -> float | None:
        """The count as a multiple of the one before."""
        return self.now / self.before if self.before and self.now is not None else None

    @property
    def verdict(self) -> str:
        """``slower``, ``faster`` or ``equal`` within a tenth; ``new`` or ``gone``."""
        if self.now is None:
            return "gone"
        if self.ratio is None:
            return "new"
        return "slower" if self.ratio > MOST else "faster" if self.ratio < 1 / MOST else "equal"


def machine_kind() -> str:
    """Return what the counts depend on besides the code: processor, Python, torch and NumPy."""
    python = ".".join(platform.python_version_tuple()[:2])
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
    return f"{processor()}; Python {python}, {packages}"


def read_baseline(kind: str, file: Path = STORED) -> Counts | None:
    """Return the counts stored for a kind of machine, or None."""
    return _read(file).get(kind)


def write_baseline(kind: str, counts: Counts, file: Path = STORED) -> None:
    """Store counts for a kind of machine; those of cases that were not counted stay."""
    stored = _read(file)
    stored[kind] = {**stored.get(kind, {}), **counts}
    file.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")


def compare(before: Counts, now: Counts) -> list[Change]:
    """Return the change of each case, in the order of ``now``."""
    names = dict.fromkeys([*now, *before])
    return [Change(name, before.get(name), now.get(name)) for name in names]


def _read(file: Path) -> dict[str, dict[str, int]]:
    return json.loads(file.read_text()) if file.exists() else {}
