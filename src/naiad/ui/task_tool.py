"""The tool of a task: typed units or files by path in; rows, a text and a picture out."""

from __future__ import annotations

import csv
import io
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import numpy as np

from naiad.errors import DeadlineExceeded, InvalidInput, MissingExtra
from naiad.tasks.calls import Answer, TaskCall
from naiad.tasks.task import Column, Draws
from naiad.ui.allowed_folders import AllowedFolders
from naiad.ui.task_answers import LONGEST, column_json, rows_json
from naiad.ui.task_fields import FILES, TaskFields
from naiad.ui.tools import Json, Reply, Watch, check_names, integer

MOST_UNITS: Final = 256
MOST_ROWS: Final = 5_000
LARGEST_PICTURE: Final = 3_000_000
"""Bytes; agents refuse images of over about 5 MB in base64."""

_COUNT, _PICTURE, _OUTPUTS, _MAX_ROWS = "count", "picture", "outputs", "max_rows"
_TYPES: Final = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}
_TEXT_ROWS: Final = 5
_TEXT_ANSWERS: Final = 40
_LONGEST_CELL: Final = 200
_drawing = threading.Lock()  # Matplotlib draws in one thread at a time


class TaskTool:
    """The tool of one task that a server answers; a `naiad.ui.tools.Tool`."""

    def __init__(self, name: str, call: TaskCall, folders: AllowedFolders) -> None:
        """Ask by ``call`` about typed units, and files in ``folders``."""
        self.name = name
        self._call, self._folders = call, folders
        self._fields = TaskFields(call)

    def title(self) -> str:
        """Return the task's name as people read it."""
        return self.name.replace("_", " ").replace(":", " ")

    def about(self) -> str:
        """Return the task's purpose, its options' effect being in the schema, and the notice."""
        call = self._call
        answer = f"Returns a table of {', '.join(one.name for one in self._columns())}."
        return "\n".join(filter(None, [call.task.summary, answer, call.notice]))

    def takes(self) -> Json:
        """Return the schema of a call: units or files, options, and how much to return."""
        task = self._call.task
        schema = self._fields.schema(form=False)
        # Agents' own interfaces refuse alternatives at the top: the call checks them.
        schema.pop("anyOf", None)
        properties: Json = schema["properties"]
        properties.pop(_OUTPUTS, None)
        if self._fields.typed:
            properties[self._fields.typed]["maxItems"] = MOST_UNITS
        if not self._folders.folders and self._fields.typed:
            del properties[FILES]
        else:
            what = properties[FILES]["description"].removesuffix(", in base64.")
            properties[FILES] |= {
                "items": {"type": "string"},
                "description": f"Paths. {what}, or folders of them; below: {self._folders}.",
            }
        if self._call.has_many:
            properties[_COUNT] |= {
                "default": 10,
                "maximum": MOST_UNITS,
                "description": f"Number of {task.unit} of each file.",
            }
        if isinstance(task, Draws):
            properties[_PICTURE] = {
                "type": "boolean",
                "default": True,
                "description": f"Return a picture of the first {task.most} answers, too."
                if task.most > 1
                else "Return a picture of the first answer, too.",
            }
        properties[_MAX_ROWS] = {
            "type": "integer",
            "default": 10,
            "minimum": 0,
            "maximum": MOST_ROWS,
            "description": f"Maximum number of rows for each of the {task.unit}.",
        }
        return schema

    def gives(self) -> Json:
        """Return the schema of the answer; an option may add columns to the rows."""
        rows = {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {one.name: _column_schema(one) for one in self._columns()},
            },
        }
        answer = {
            "type": "object",
            "required": ["name", "rows"],
            "properties": {
                "name": {"type": "string", "description": "The file, its part, or the text."},
                "number": {"type": "integer", "description": "Index in the file."},
                "rows": rows,
                "rows_left_out": {"type": "integer", "description": "Rows beyond max_rows."},
                "error": {"type": "string", "description": "Why there are no rows."},
            },
        }
        return {
            "type": "object",
            "required": ["task", "model", "answers"],
            "properties": {
                "task": {"type": "string"},
                "model": {"type": "string"},
                "notice": {"type": "string", "description": "What users of the model must know."},
                "columns": {"type": "array", "items": {"type": "object"}},
                "answers": {"type": "array", "items": answer},
            },
        }

    def call(self, arguments: Mapping[str, Any], watch: Watch) -> Reply:
        """Return the answers, with errors in the places of those that failed.

        Raises:
            InvalidInput: an argument is wrong, or there are too many units.
            Unavailable: the server is gone.
            DeadlineExceeded: the call took longer than a call may.
        """
        call, schema = self._call, self.takes()
        check_names(arguments, schema)
        max_rows = integer(arguments, schema, _MAX_ROWS)
        count = integer(arguments, schema, _COUNT) if call.has_many else None
        body = {name: value for name, value in arguments.items() if name != _MAX_ROWS}
        if isinstance(call.task, Draws):
            body.setdefault(_PICTURE, True)
        given = self._fields.from_paths(body, self._folders.resolve)
        options = call.options(given.options)
        columns = call.columns(options)
        chosen = slice(given.start, None if count is None else given.start + count)
        found, told = list[Answer](), list[Json]()
        paths = [path for _, path in given.files if isinstance(path, Path)]
        deadline = time.monotonic() + LONGEST
        with closing(call.ask(options, files=paths, typed=given.typed, chosen=chosen)) as answers:
            for one in answers:
                if not watch.wanted():
                    raise DeadlineExceeded("the caller has given up")
                if time.monotonic() > deadline:
                    raise DeadlineExceeded(f"the call took over {LONGEST:g} s; ask about fewer")
                if len(told) == MOST_UNITS:
                    raise InvalidInput(f"over {MOST_UNITS} {call.task.unit}; ask about fewer")
                told.append(_told(call, one, columns, options, max_rows))
                if len(found) < getattr(call.task, "most", 0) and one.error is None:
                    found.append(one)  # the others' data need not be kept
                watch.advance(len(told))
        failed = all("error" in one for one in told)
        text = _text(call, told)
        pictures: tuple[bytes, ...] = ()
        if given.picture and found:
            pictures, note = _pictures(call, found)
            text = "\n".join(filter(None, [text, note]))
        content: Json = {
            "task": self.name,
            "model": call.model,
            "notice": call.notice,
            "columns": [column_json(column) for column in columns],
            "answers": told,
        }
        return Reply(text, content, pictures, failed)

    def _columns(self) -> tuple[Column, ...]:
        """Return the columns without options; none if some must be given."""
        call = self._call
        needed = any(one.required for one in call.fields)
        return () if needed else call.columns(call.options({}))


def _told(
    call: TaskCall, one: Answer, columns: tuple[Column, ...], options: Any, most: int
) -> Json:
    rows = rows_json(call, one, columns, options)
    told: Json = {"name": one.name, "number": one.number, "rows": rows[:most]}
    if len(rows) > most:
        told["rows_left_out"] = len(rows) - most
    if one.error is not None:
        told["error"] = call.message(one)
    return told


def _pictures(call: TaskCall, found: Sequence[Answer]) -> tuple[tuple[bytes, ...], str]:
    """Return the picture, or why there is none."""
    try:
        with _drawing:
            picture = call.picture(found)
    except MissingExtra as error:
        return (), f"No picture: {error}"
    if picture is None:
        return (), ""
    if len(picture) > LARGEST_PICTURE:
        return (), f"No picture: it has {len(picture):,} bytes."
    return (picture,), ""


def _text(call: TaskCall, told: Sequence[Json]) -> str:
    """Return answers as text: the notice, then for each its name and its first rows as CSV."""
    lines = [call.notice] if call.notice else []
    header: list[str] = []
    for one in told[:_TEXT_ANSWERS]:
        if "error" in one:
            lines.append(f"{one['name']}: error: {one['error']}")
            continue
        rows: list[Json] = one["rows"]
        if rows and [*rows[0]] != header:
            header = [*rows[0]]
            lines.append(_csv(header))
        lines += [_csv(row.values()) for row in rows[:_TEXT_ROWS]]
        if left := one.get("rows_left_out", 0) + len(rows[_TEXT_ROWS:]):
            lines.append(f"... and {left:,} more rows of {one['name']}")
        elif not rows:
            lines.append(f"{one['name']}: no rows")
    if len(told) > _TEXT_ANSWERS:
        lines.append(f"... and {len(told) - _TEXT_ANSWERS} more {call.task.unit}")
    return "\n".join(lines)


def _csv(values: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([_cell(value) for value in values])
    return text.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}..."


def _column_schema(column: Column) -> Json:
    text = column.dtype in ("str", "category")
    kind = "string" if text else _TYPES.get(np.dtype(column.dtype).kind, "string")
    unit = f", in {column.unit}" if column.unit else ""
    schema: Json = {"type": [kind, "null"]}
    if about := f"{column.about.get('doc', '')}{unit}".lstrip(", "):
        schema["description"] = about
    return schema
