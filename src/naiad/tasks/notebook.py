"""Results in notebooks: the rows of a task's table, and its picture, drawn when they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, cast

import numpy as np

from naiad.errors import NaiadError
from naiad.notebook_html import picture, table
from naiad.tasks.tables import block_of, rows_of
from naiad.tasks.task import Draws, Found, Task

_ROWS: Final = 20
_LONGEST: Final = 60  # characters of a value in a ``repr``


class Shown:
    """Base of results that notebooks show by their task: a table, below a picture if there is one.

    It needs no attributes: a typed client says which task a result is of. The picture is drawn when
    the result of ``infer`` is shown; results of ``infer_many`` and ``try_many`` do not keep their
    units, so they are shown as tables only. A copy in another process is shown as its ``repr``.
    """

    def _repr_html_(self) -> str | None:
        context: _Context | None = getattr(self, "_shown", None)
        return None if context is None else context.html([self])

    def __repr__(self) -> str:
        """Return the fields, with the shapes of arrays."""
        names = (one.name for one in fields(cast("Any", self)) if one.repr)
        values = (f"{name}={_brief(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({', '.join(values)})"


class Results(list[Any]):
    """The results of a list of units, which notebooks show as one table."""

    _shown: _Context | None = None

    def _repr_html_(self) -> str | None:
        return None if self._shown is None else self._shown.html(self)


def show_by(
    task: Task[Any, Any], card: Any, options: Any, result: Any, units: Sequence[Any] = ()
) -> Any:
    """Return a result, or `Results`, that is shown as one of the task's.

    Args:
        task: that gave the result.
        card: of the model.
        options: of the request.
        result: which is changed, if it can be shown.
        units: that it is the answer to, kept for its picture.
    """
    if isinstance(result, Shown | Results):
        object.__setattr__(result, "_shown", _Context(task, card, options, tuple(units)))
    return result


@dataclass(frozen=True, slots=True)
class _Context:
    """The task of some results, and their units if a picture may need them."""

    task: Task[Any, Any]
    card: Any
    options: Any
    units: tuple[Any, ...]

    def __reduce__(self) -> Any:
        """Pickle as None: it may hold anything, and a copy is often not shown."""
        return type(None), ()

    def html(self, results: Sequence[Any]) -> str | None:
        """Return the picture and the table of results."""
        parts = [self._picture(results), self._table(results)]
        return "".join(part for part in parts if part) or None

    def _table(self, results: Sequence[Any]) -> str:
        units, several = self.units, len(results) > 1
        named = [isinstance(unit, str | Path) for unit in units]
        columns = [
            column
            for column in self.task.columns_of(self.card, self.options)
            if not column.fill or (column.fill == "number" and several) or (named and all(named))
        ]
        if not any(not column.fill for column in columns):
            return ""
        shown, count = list[tuple[Any, ...]](), 0
        for number, result in enumerate(results):
            name = str(units[number]) if number < len(units) else ""
            block, size = block_of(columns, self.task.rows(result), name, number)
            count += size
            if (room := min(_ROWS - len(shown), size)) > 0:
                cut = [one[:room] if isinstance(one, np.ndarray | list) else one for one in block]
                shown += rows_of(columns, cut, room)
        note = f"the first {len(shown)} of {count:,} rows" if count > len(shown) else ""
        return table([column.name for column in columns], shown, note)

    def _picture(self, results: Sequence[Any]) -> str:
        if not isinstance(self.task, Draws) or len(self.units) != len(results):
            return ""
        pairs = zip(self.units, results, strict=True)
        found: Sequence[Found] = [
            _Found(self.task, self.options, number, unit, result)
            for number, (unit, result) in enumerate(pairs)
        ][: self.task.most]
        with TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            try:
                self.task.draw(found, path, self.card, self.task.DrawOptions())
            except NaiadError:  # no matplotlib, or a result without a picture
                return ""
            return picture(path.read_bytes(), self.task.unit) if path.exists() else ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A `Found` whose unit is in memory, or in a file of its own."""

    task: Task[Any, Any]
    options: Any
    number: int
    given: Any
    result: Any

    @property
    def name(self) -> str:
        """The file, the typed unit, or nothing."""
        return str(self.given) if isinstance(self.given, str | Path) else ""

    @property
    def path(self) -> Path:
        """The file, or ``-``."""
        is_file = isinstance(self.given, str | Path) and self.task.suffixes
        return Path(self.given) if is_file else Path("-")

    def unit(self) -> Any:
        """Return the unit."""
        return self.task.coerce(self.given, self.options)


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{[*value.shape]}"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
