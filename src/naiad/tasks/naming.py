"""Names of files of results: those of the inputs, which no two units share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from naiad.tasks.task import Task


def stem_of(task: Task[Any, Any], name: Path) -> Path:
    """Return the name of an input without its ending."""
    endings = [ending for ending in task.suffixes if name.name.lower().endswith(ending)]
    cut = len(max(endings, key=len)) if endings else len(name.suffix)
    return name.with_name(name.name[: len(name.name) - cut] or name.name)


def stems_of(
    task: Task[Any, Any], inputs: Sequence[tuple[Path, int]], size: int
) -> list[list[Path]]:
    """Return the stem of each unit's files, for each input.

    The units of an input with many are numbered from 1, in a folder of their own if another input
    has such a name: ``ct_1`` and ``ct_2``, or ``ct/ct_1`` and ``ct/ct_2`` beside an input ``ct_2``.

    Args:
        task: of the inputs.
        inputs: the name of each, and its number of units.
        size: parts of a unit, which has the stem of its first.
    """
    stems = [stem_of(task, name) for name, _ in inputs]
    single = [count <= size for _, count in inputs]
    taken = {stem for stem, alone in zip(stems, single, strict=True) if alone}
    found: list[list[Path]] = []
    for stem, alone, (_, count) in zip(stems, single, inputs, strict=True):
        if alone:
            found.append([stem] * count)
            continue
        folder, numbered = stem.parent, [f"{stem.name}_{number + 1}" for number in range(count)]
        while not taken.isdisjoint(named := [folder / name for name in numbered]):
            folder /= stem.name
        taken.update(named)
        found.append(named)
    return found
