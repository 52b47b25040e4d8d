"""``POST /v1/tasks/NAME``: a task's own fields in, rows out."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeVar

import anyio
from fastapi import FastAPI
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from naiad.errors import InvalidInput, NaiadError, NotAllowed
from naiad.tasks.calls import TaskCall
from naiad.ui.openapi import server_document
from naiad.ui.surface import Surface
from naiad.ui.task_answers import (
    MOST_UNITS,
    BusyError,
    TooLargeError,
    answer,
    column_json,
    status_of,
)
from naiad.ui.task_fields import FILES, Given, TaskFields
from naiad.ui.uploads import Uploads

T = TypeVar("T")

MODELS_HEADER: Final = "x-naiad-models"
"""Set by the gate alone: the models that the caller's key is for, with commas between."""
MOST_AT_ONCE: Final = 32
LARGEST_JSON: Final = 32_000_000
_MOST_FIELDS: Final = 2 * MOST_UNITS  # of a form: units, and options with many values
_FORM: Final = "multipart/form-data"


def add_tasks(app: FastAPI, surface: Surface) -> None:
    """Add the paths of tasks, and the document that describes them, to an application."""
    api = _TasksApi(surface)
    for path, endpoint, method in (
        ("/v1/tasks", api.listed, "GET"),
        ("/v1/tasks/{name}", api.described, "GET"),
        ("/v1/tasks/{name}", api.asked, "POST"),
        ("/openapi.json", api.document, "GET"),
    ):
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    app.add_exception_handler(NaiadError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)


class JsonAnswer(JSONResponse):
    """An answer in JSON, of any text that Python holds."""

    def render(self, content: Any) -> bytes:
        """Encode; a surrogate, of a file's name or a model's answer, becomes ``\\udce9``."""
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode("utf-8", "backslashreplace")


class _TasksApi:
    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._limiter: anyio.CapacityLimiter | None = None
        self._running = 0

    async def listed(self, request: Request) -> Response:
        """Return the tasks, with the fields and columns of each."""
        calls = await self._run(self._surface.tasks.calls)
        told = [
            await self._run(lambda call=call, name=name: _about(name, call))
            for name, call in calls.items()
            if _allowed(request, call)
        ]
        return JsonAnswer({"tasks": told})

    async def described(self, request: Request, name: str) -> Response:
        """Return the fields and columns of a task."""
        call = await self._call(request, name)
        return JsonAnswer(await self._run(lambda: _about(name, call)))

    async def document(self, request: Request) -> Response:
        """Return the OpenAPI document of what is served now."""
        surface = self._surface
        allowed = _models(request)
        made = await self._run(
            lambda: server_document(
                surface.tasks,
                http_url=surface.http_url,
                secured=surface.secured,
                models=allowed,
            )
        )
        return JsonAnswer(made)

    async def asked(self, request: Request, name: str) -> Response:
        """Answer a call."""
        if self._running >= MOST_AT_ONCE:
            raise BusyError(f"{MOST_AT_ONCE} calls are being answered; try again later")
        self._running += 1
        try:
            call = await self._call(request, name)
            with Uploads() as uploads:
                given = await self._read(request, TaskFields(call), uploads)
                status, body = await self._answer(request, call, given, uploads)
        finally:
            self._running -= 1
        headers = {"Retry-After": "1"} if status in (429, 503) else None
        return JsonAnswer(body, status, headers)

    async def _answer(
        self, request: Request, call: TaskCall, given: Given, uploads: Uploads
    ) -> tuple[int, Any]:
        gone = threading.Event()
        found: list[tuple[int, Any]] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, request, gone)
            found.append(
                await self._run(lambda: _outcome(call, given, uploads, lambda: not gone.is_set()))
            )
            group.cancel_scope.cancel()
        return found[0]

    async def _call(self, request: Request, name: str) -> TaskCall:
        call = await self._run(lambda: self._surface.tasks.call(name))
        if not _allowed(request, call):
            models = _models(request) or ()
            raise NotAllowed(f"this key is for models {', '.join(sorted(models)) or 'none'}")
        return call

    async def _read(self, request: Request, fields: TaskFields, uploads: Uploads) -> Given:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == _FORM:
            return await self._read_form(request, fields, uploads)
        if kind != "application/json":
            raise HTTPException(
                415,
                f"the content type is {kind[:100] or 'missing'}; send application/json or {_FORM}",
            )
        text = bytearray()
        async for chunk in request.stream():
            text += chunk
            if len(text) > LARGEST_JSON:
                raise TooLargeError(
                    f"the JSON is larger than {LARGEST_JSON:,} bytes; send files as {_FORM}"
                )
        return await self._run(lambda: fields.from_json(_parsed(text)))

    async def _read_form(self, request: Request, fields: TaskFields, uploads: Uploads) -> Given:
        values: list[tuple[str, str]] = []
        files: list[Any] = []
        form = request.form(max_files=MOST_UNITS, max_fields=_MOST_FIELDS)
        async with _limits_said(form) as form:
            for name, value in form.multi_items():
                if not isinstance(value, UploadFile):
                    values.append((name, value))
                elif name == FILES:
                    file = value.file
                    named = value.filename or ""
                    path = await self._run(lambda f=file, n=named: uploads.copy(n, f))
                    files.append((named, path))
                else:
                    raise InvalidInput(f"{name!r} is sent as a file; files are sent as {FILES}")
        return fields.from_form(values, files)

    async def _run(self, work: Callable[[], T]) -> T:
        """Run in a thread, of which there are as many as calls at once."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(MOST_AT_ONCE + 8)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


@asynccontextmanager
async def _limits_said(reading: AbstractAsyncContextManager[FormData]) -> AsyncGenerator[FormData]:
    """Read a form; one beyond a limit is too large, not malformed as Starlette has it."""
    try:
        async with reading as form:
            yield form
    except HTTPException as error:
        if error.detail.startswith(("Too many", "Part exceeded")):
            raise TooLargeError(f"the form is too large: {error.detail}") from None
        raise


def _outcome(
    call: TaskCall, given: Given, uploads: Uploads, wanted: Callable[[], bool]
) -> tuple[int, Any]:
    """Return :func:`answer`; an error becomes its status and message.

    Not raised, as the task group around would make it a group of errors.
    """
    try:
        return answer(call, given, uploads, wanted)
    except NaiadError as error:
        return status_of(error), {"error": uploads.without_folder(str(error))}


async def _watch(request: Request, gone: threading.Event) -> None:
    """Notice that the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    gone.set()


def _about(name: str, call: TaskCall) -> Any:
    fields = TaskFields(call)
    options = {one.name for one in call.fields if one.required}
    columns = () if options else call.columns(call.options({}))
    return {
        "name": name,
        "summary": call.task.summary,
        "model": call.model,
        "notice": call.notice,
        "fields": fields.schema(form=False),
        "columns": [column_json(column) for column in columns],
    }


def _models(request: Request) -> frozenset[str] | None:
    """Return the models that the caller may ask; None: all."""
    given = request.headers.get(MODELS_HEADER)
    return None if given is None else frozenset(filter(None, given.split(",")))


def _allowed(request: Request, call: TaskCall) -> bool:
    models = _models(request)
    return models is None or call.model in models


def _parsed(text: bytearray) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once_each)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is not JSON: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((repeated, times),) = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidInput(f"{repeated!r} is given {times} times; give it once")
    return found


async def _failed(_: Request, error: Exception) -> Response:
    assert isinstance(error, NaiadError)
    status = status_of(error)
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return JsonAnswer({"error": str(error)}, status, headers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JsonAnswer({"error": error.detail}, error.status_code, error.headers)


async def _gone(_: Request, error: Exception) -> Response:
    """Answer a client that hung up while it sent; nobody reads it."""
    return Response(status_code=499)


async def _broken(_: Request, error: Exception) -> Response:
    return JsonAnswer({"error": "internal error; the server's log has it"}, 500)
