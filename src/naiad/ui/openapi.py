"""The OpenAPI document of a server: its models by KServe v2, and its tasks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from naiad.client.spec import ModelSpec
from naiad.errors import NaiadError
from naiad.openapi.document import document, failures, server_entry
from naiad.openapi.models import component, example_of, model_paths
from naiad.tasks.calls import TaskCall
from naiad.tasks.served import ServedTasks
from naiad.tasks.task import Column
from naiad.ui.task_examples import TaskExample, find_example
from naiad.ui.task_fields import TaskFields

Json = dict[str, Any]

_TYPES: Final = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}
_CONTENT: Final[Json] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "content": {"type": "string", "contentEncoding": "base64"},
    },
}


def server_document(
    tasks: ServedTasks,
    *,
    http_url: str = "",
    tasks_url: str = "/",
    secured: bool = False,
    models: Collection[str] | None = None,
) -> Json:
    """Return the document of a server.

    Args:
        tasks: what it serves.
        http_url: of KServe v2; "" if it is not known.
        tasks_url: of the application that answers the tasks' paths.
        secured: a gate asks for credentials.
        models: the only ones to describe; None for all.

    Raises:
        Unavailable: the server cannot be reached.
    """
    paths: Json = {}
    schemas: Json = {}
    examples: dict[str, TaskExample] = {}
    for name, call in tasks.calls().items():
        if models is None or call.model in models:
            example = tasks.kept(call.model, lambda call=call: find_example(call))
            if example is not None:
                examples[call.model] = example
            body = example.body if example is not None else None
            more, named = _task_path(name, call, body)
            paths |= {
                path: {**item, "servers": [{"url": tasks_url}]} for path, item in more.items()
            }
            schemas |= named
    for model in tasks.models():
        if models is None or model in models:
            spec = ModelSpec.from_config(tasks.client.config(model))
            found = examples.get(model)
            request = example_of(spec, found.request) if found is not None else None
            more, named = model_paths(spec, request)
            paths |= more
            schemas |= named
    entry = {"url": "/"} if http_url == "/" else server_entry(http_url)
    return document(paths, schemas, servers=[entry], secured=secured)


def _task_path(name: str, call: TaskCall, example: Json | None) -> tuple[Json, Json]:
    fields = TaskFields(call)
    key = component(name)
    answer, request = f"tasks.{key}.answer", f"tasks.{key}.request"
    body: Json = {"schema": {"$ref": f"#/components/schemas/{request}"}}
    if example is not None:
        body["examples"] = {"example": {"summary": "A small call", "value": example}}
    docstring = (type(call.task).__doc__ or "").partition("[bold]")[0]
    about = [" ".join(part.split()) for part in docstring.split("\n\n")]
    operation: Json = {
        "operationId": f"task_{key}",
        "summary": f"{call.task.summary[:1].upper()}{call.task.summary[1:]}" or name,
        "description": "\n\n".join(filter(None, [call.notice, *about])),
        "tags": ["tasks"],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": body,
                "multipart/form-data": {"schema": fields.schema(form=True)},
            },
        },
        "responses": {
            "200": {
                "description": "Rows for each unit, or its error.",
                "content": {
                    "application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}
                },
            },
            **failures(),
        },
    }
    schemas = {request: fields.schema(form=False), answer: _answer_schema(call)}
    return {f"/v1/tasks/{name}": {"post": operation}}, schemas


def _answer_schema(call: TaskCall) -> Json:
    row: Json = {"type": "object"}
    try:
        columns = call.columns(call.options({}))
    except NaiadError:  # an option is needed: the columns may depend on it
        columns = ()
    if columns:
        row["properties"] = {column.name: _column(column) for column in columns}
    error: Json = {
        "type": "object",
        "required": ["status", "message"],
        "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
    }
    one: Json = {
        "type": "object",
        "required": ["name", "number", "rows"],
        "properties": {
            "name": {"type": "string", "description": "Of the unit: its file, or its text."},
            "number": {"type": "integer", "description": "Index of the unit in its file."},
            "rows": {"type": "array", "items": row},
            "error": error,
            "outputs": {"type": "array", "items": _CONTENT},
        },
    }
    column: Json = {
        "type": "object",
        "required": ["name", "dtype"],
        "properties": {name: {"type": "string"} for name in ("name", "dtype", "doc", "unit")},
    }
    return {
        "type": "object",
        "required": ["task", "model", "notice", "columns", "answers"],
        "properties": {
            "task": {"const": call.task.name},
            "model": {"const": call.model},
            "notice": {"type": "string", "description": "About the weights, for every user."},
            "columns": {"type": "array", "items": column},
            "answers": {"type": "array", "items": one},
            "picture": {"anyOf": [_CONTENT, {"type": "null"}]},
        },
    }


def _column(column: Column) -> Json:
    kind = "string"
    if column.dtype not in ("str", "category"):
        kind = _TYPES.get(column.dtype.lstrip("<>=")[0], "string")
    schema: Json = {"type": [kind, "null"]}
    if column.about.get("doc"):
        schema["description"] = column.about["doc"]
    if column.unit:
        schema["x-unit"] = column.unit
    if column.categories:
        schema["enum"] = [*column.categories, None]
    return schema
