"""The answer to a call of a task, as JSON: its columns, and rows or an error for each unit."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    MissingExtra,
    ModelNotFound,
    NaiadError,
    NotAllowed,
    Unavailable,
)
from naiad.tasks.calls import Answer, TaskCall, plain
from naiad.tasks.task import Column
from naiad.ui.task_fields import Given
from naiad.ui.uploads import Uploads

Json = dict[str, Any]

MOST_UNITS: Final = 1_000
MOST_ROWS: Final = 200_000
LONGEST: Final = 600.0  # seconds for a call

_STATUSES: Final[tuple[tuple[type[NaiadError], int], ...]] = (
    (InvalidInput, 400),
    (NotAllowed, 403),
    (ModelNotFound, 404),
    (MissingExtra, 501),
    (Unavailable, 503),
    (DeadlineExceeded, 504),
)


class TooLargeError(InvalidInput):
    """A call, or its answer, is larger than one call may be."""


class BusyError(Unavailable):
    """Too many calls at once."""


def status_of(error: NaiadError) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, TooLargeError):
        return 413
    if isinstance(error, BusyError):
        return 429
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def answer(
    call: TaskCall, given: Given, uploads: Uploads, wanted: Callable[[], bool]
) -> tuple[int, Json]:
    """Ask about the units; return a status, 200 if any was answered, and the body.

    Args:
        call: of the task.
        given: the units, files and options.
        uploads: the folder for the files.
        wanted: asked between units; the rest is left out once it returns False.

    Raises:
        InvalidInput: an option or a field is wrong, or there are too many units or rows.
        Unavailable: the server is gone.
        DeadlineExceeded: the call took longer than a call may.
    """
    options = call.options(given.options)
    if len(given.typed) > MOST_UNITS or len(given.files) > MOST_UNITS:
        what = call.task.unit if len(given.typed) > MOST_UNITS else "files"
        raise TooLargeError(f"over {MOST_UNITS:,} {what}; {_fewer(call)}")
    columns = call.columns(options)
    paths = uploads.place(given.files)
    chosen = slice(given.start, None if given.count is None else given.start + given.count)
    deadline = time.monotonic() + LONGEST
    found: list[Answer] = []
    told: list[Json] = []
    rows = 0
    with closing(call.ask(options, files=paths, typed=given.typed, chosen=chosen)) as answers:
        for one in answers:
            if not wanted():
                raise DeadlineExceeded("the client is gone")
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"the call took over {LONGEST:g} s; {_fewer(call)}")
            named = replace(one, name=uploads.without_folder(one.name))
            found.append(named)
            told.append(_told(call, named, columns, options, given.outputs, uploads))
            rows += len(told[-1]["rows"])
            if len(found) > MOST_UNITS:
                raise TooLargeError(f"over {MOST_UNITS:,} {call.task.unit}; {_fewer(call)}")
            if rows > MOST_ROWS:
                raise TooLargeError(f"over {MOST_ROWS:,} rows; {_fewer(call)}")
    body: Json = {
        "task": call.task.name,
        "model": call.model,
        "notice": call.notice,
        "columns": [column_json(column) for column in columns],
        "answers": told,
    }
    failed = [one.error for one in found if one.error is not None]
    if found and len(failed) == len(found):
        whose = found[0].name or call.task.unit
        return status_of(failed[0]), {"error": f"{whose}: {told[0]['error']['message']}", **body}
    if given.picture:
        picture = call.picture(found)
        body["picture"] = None if picture is None else _content("picture.png", picture)
    return 200, body


def column_json(column: Column) -> Json:
    """Return what a column declares."""
    return {"name": column.name, "dtype": column.dtype, **column.about}


def _told(
    call: TaskCall,
    one: Answer,
    columns: tuple[Column, ...],
    options: Any,
    outputs: bool,
    uploads: Uploads,
) -> Json:
    told: Json = {
        "name": one.name,
        "number": one.number,
        "rows": rows_json(call, one, columns, options),
    }
    if one.error is not None:
        message = uploads.without_folder(call.message(one))
        told["error"] = {"status": status_of(one.error), "message": message}
    if outputs:
        told["outputs"] = [_content(name, data) for name, data in call.files(one, options)]
    return told


def rows_json(
    call: TaskCall, one: Answer, columns: tuple[Column, ...], options: Any
) -> list[dict[str, Any]]:
    """Return the rows of an answer, by column, with single-precision numbers as short as they are.

    Values that are not finite, or missing, are None.
    """
    single = {column.name for column in columns if column.dtype in ("float32", "float16")}
    return [
        {
            name: float(f"{value:.7g}") if name in single and isinstance(value, float) else value
            for name, value in ((name, plain(value)) for name, value in row.items())
        }
        for row in call.rows(one, options)
    ]


def _content(name: str, data: bytes) -> Json:
    return {"name": name, "content": base64.b64encode(data).decode()}


def _fewer(call: TaskCall) -> str:
    fewer = "ask about fewer with start and count" if call.has_many else "ask about fewer in a call"
    return f"{fewer}, or use `naiad process {call.task.name}`"
