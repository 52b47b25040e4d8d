"""The document around the paths: its title, servers, security and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from naiad import __version__

Json = dict[str, Any]

FAILURES: Final[Mapping[int, str]] = {
    400: "The request is wrong: which tensor or option, where, and what would be right.",
    401: "The credential is missing or unknown; asked for where a gate stands in front.",
    403: "The credential does not allow this.",
    404: "There is no such model or task.",
    413: "The request is too large.",
    415: "The content type or encoding is not accepted.",
    429: "Too many requests; try again later.",
    500: "The model failed.",
    501: "A package that this needs is not installed where the task is read.",
    503: "The server or the model is not available now; try again later.",
    504: "No answer in time.",
}
"""Meaning of each status of an error."""

_OF_TRITON: Final = "400-of-triton"
"""Wrong requests as Triton answers them: it declares some of the JSON as text (seen in 2.51)."""

_METADATA: Final[Json] = {
    "type": "object",
    "required": ["name", "inputs", "outputs"],
    "properties": {
        "name": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"type": "string"},
        "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/TensorMetadata"}},
        "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/TensorMetadata"}},
    },
}
_TENSOR: Final[Json] = {
    "type": "object",
    "required": ["name", "datatype", "shape"],
    "properties": {
        "name": {"type": "string"},
        "datatype": {"type": "string"},
        "shape": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "-1 for a size that may differ between requests.",
        },
    },
}
_ERROR: Final[Json] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "description": "What was wrong, in a sentence."}},
}


def document(
    paths: Json,
    schemas: Json,
    *,
    servers: Sequence[Json] = (),
    secured: bool = False,
) -> Json:
    """Return a whole document.

    Args:
        paths: by path.
        schemas: to which they refer, by name.
        servers: at which the paths are, unless a path has its own; by default the document's own.
        secured: a gate asks for credentials.
    """
    components: Json = {
        "schemas": {
            "Error": _ERROR,
            "ModelMetadata": _METADATA,
            "TensorMetadata": _TENSOR,
            **schemas,
        },
        "responses": {
            **{str(status): _failure(text) for status, text in FAILURES.items()},
            _OF_TRITON: _failure(FAILURES[400], "text/plain"),
        },
    }
    made: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Naiad",
            "version": __version__,
            "description": "Models on NVIDIA Triton, by the KServe v2 protocol and by task.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": list(servers) or [{"url": "/"}],
        "tags": [
            {"name": "tasks", "description": "What people do with a model: texts, files, rows."},
            {"name": "models", "description": "The models' tensors, by the KServe v2 protocol."},
        ],
        "paths": dict(sorted(paths.items())),
        "components": components,
    }
    if secured:
        components["securitySchemes"] = {
            "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {
                "type": "http",
                "scheme": "basic",
                "description": "Any user name, with the API key as password; not for /v2.",
            },
        }
        made["security"] = [{"apiKey": []}, {"bearer": []}, {"basic": []}]
    return made


def failures(*, of_triton: bool = False) -> Json:
    """Return the responses for errors, as Triton itself gives them or the tasks do."""
    names = {400: _OF_TRITON} if of_triton else {}
    return {
        str(status): {"$ref": f"#/components/responses/{names.get(status, status)}"}
        for status in FAILURES
    }


def server_entry(http_url: str) -> Json:
    """Return the server at an address; "" if it is not known."""
    if http_url:
        return {"url": http_url}
    return {
        "url": "http://{host}:{port}",
        "description": "Triton, over HTTP",
        "variables": {"host": {"default": "localhost"}, "port": {"default": "8000"}},
    }


def _failure(text: str, *others: str) -> Json:
    """Return a response with an error in JSON, which may be declared as other types."""
    schema = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {"description": text, "content": dict.fromkeys(["application/json", *others], schema)}
