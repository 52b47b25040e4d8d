"""Examples of a task to click: typed units as its help has them, or units that it simulates."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path
from typing import Any, Final

from naiad.core.fields import option_name
from naiad.tasks.calls import TaskCall
from naiad.tasks.task import Simulates

_MOST: Final = 3
_LONGEST: Final = 48  # characters of a name


@dataclass(frozen=True, slots=True)
class Example:
    """One example.

    Attributes:
        name: on its button.
        typed: units, a line each; "" if they are in ``files``.
        files: with units.
        number: index of the unit in its file.
        options: as the command line takes them, by field.
    """

    name: str
    typed: str = ""
    files: tuple[Path, ...] = ()
    number: int = 0
    options: Mapping[str, str] = field(default_factory=dict[str, str])


def find_examples(call: TaskCall, folder: Path) -> tuple[Example, ...]:
    """Return a few examples; files are written into ``folder``.

    Raises:
        MissingExtra: a package that simulates is missing.
    """
    task: Any = call.task
    words, options = declared(call)
    if call.is_typed:
        return tuple(Example(_short(word), word, options=options) for word in words)
    if not isinstance(task, Simulates):
        return ()
    units = islice(task.simulate(task.simulated_number, 0, task.SimulateOptions()), _MOST)
    names: list[str] = []

    def named() -> Iterator[tuple[str, Any]]:
        for name, unit in units:
            names.append(name)
            yield name, unit

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / Path(task.simulated_output).name
    task.save(named(), path, lambda *_: None)
    if path.is_dir():
        return tuple(Example(_short(name), "", (path / name,), 0, options) for name in names)
    return tuple(Example(_short(name), "", (path,), n, options) for n, name in enumerate(names))


def declared(call: TaskCall) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the units and the options in the example of a task's help."""
    words = shlex.split(call.task.example)
    end = next((n for n, word in enumerate(words) if word.startswith("--")), len(words))
    flags = dict(zip(words[end::2], words[end + 1 :: 2], strict=False))
    known = {one.name for one in call.fields}
    names = {option_name(one): one.name for one in fields(call.task.Options) if one.name in known}
    return tuple(words[:end]), {names[f]: text for f, text in flags.items() if f in names}


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
