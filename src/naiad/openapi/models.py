"""The paths of KServe v2 by which each model is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from naiad.client import Client
from naiad.client.spec import ModelSpec
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays
from naiad.errors import InvalidInput
from naiad.openapi.document import document, failures, server_entry
from naiad.openapi.tensors import Described, Json, described, request_json, tensor_schema

LARGEST_EXAMPLE: Final = 16_000
"""Most characters of an example in a document."""

_BINARY: Final = (
    "Tensors may also be sent as bytes, which is faster for large ones (KServe's binary data "
    "extension): the JSON comes first, with `parameters: {binary_data_size: N}` in place of "
    "`data`, then the values, little-endian and in order; the header "
    "`Inference-Header-Content-Length` has the length of the JSON. An answer is binary where an "
    "output is asked for with `parameters: {binary_data: true}`."
)


def model_paths(spec: ModelSpec, example: Mapping[str, Any] | None = None) -> tuple[Json, Json]:
    """Return the paths of one model, and the schemas that they refer to, by name.

    Args:
        spec: of the model.
        example: a request that it answers, by :func:`example_of`.
    """
    name = component(spec.name)
    inputs, outputs = described(spec)
    notice = spec.card.get("notice", "")
    body: Json = {"schema": _ref(f"{name}.request")}
    if example is not None:
        body["examples"] = {"example": {"summary": "A small request", "value": example}}
    infer: Json = {
        "operationId": f"infer_{name}",
        "summary": f"Ask the model {spec.name}",
        "description": "\n\n".join(filter(None, [notice, _BINARY])),
        "tags": ["models"],
        "requestBody": {"required": True, "content": {"application/json": body}},
        "responses": {
            "200": {
                "description": "The outputs.",
                "content": {"application/json": {"schema": _ref(f"{name}.answer")}},
            },
            **failures(of_triton=True),
        },
    }
    about: Json = {
        "operationId": f"metadata_{name}",
        "summary": f"Describe the model {spec.name}",
        "tags": ["models"],
        "responses": {
            "200": {
                "description": "Its versions, and its tensors by datatype and shape.",
                "content": {"application/json": {"schema": _ref("ModelMetadata")}},
            },
            **failures(of_triton=True),
        },
    }
    paths = {f"/v2/models/{spec.name}/infer": {"post": infer}}
    paths[f"/v2/models/{spec.name}"] = {"get": about}
    return paths, {
        f"{name}.request": _request_schema(inputs, outputs),
        f"{name}.answer": _answer_schema(spec.name, outputs),
    }


def models_document(
    client: Client,
    models: Iterable[str],
    requests: Mapping[str, Arrays],
    *,
    http_url: str,
    secured: bool = False,
) -> Json:
    """Return the document of some models.

    Args:
        client: of their server.
        models: their names.
        requests: one that a model has answered, by name.
        http_url: where users reach KServe v2 over HTTP; "" if there is none.
        secured: a gate asks for credentials.

    Raises:
        Unavailable: the server cannot be reached.
    """
    paths: Json = {}
    schemas: Json = {}
    for model in models:
        spec = ModelSpec.from_config(client.config(model))
        example = example_of(spec, requests[model]) if model in requests else None
        more, named = model_paths(spec, example)
        paths |= more
        schemas |= named
    return document(paths, schemas, servers=[server_entry(http_url)], secured=secured)


def example_of(spec: ModelSpec, request: Arrays | Request) -> Json | None:
    """Return a request in JSON; None if it is long, or has values that JSON has not."""
    arrays = request.arrays if isinstance(request, Request) else request
    if sum(array.size for array in arrays.values()) > LARGEST_EXAMPLE // 2:
        return None
    try:
        made = request_json(spec, arrays)
    except (InvalidInput, KeyError):
        return None
    if isinstance(request, Request) and request.parameters:
        made["parameters"] = dict(request.parameters)
    return made if len(str(made)) <= LARGEST_EXAMPLE else None


def component(name: str) -> str:
    """Return a model's name as names of components may be."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _request_schema(inputs: tuple[Described, ...], outputs: tuple[Described, ...]) -> Json:
    needed = sum(not one.optional for one in inputs)
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string", "description": "Returned with the answer."},
            "parameters": {"type": "object"},
            "inputs": {
                "type": "array",
                "items": {"anyOf": [tensor_schema(one) for one in inputs]},
                "minItems": needed,
                "maxItems": len(inputs),
                "description": "Each input once: "
                + ", ".join(f"{one.name}{' (optional)' * one.optional}" for one in inputs),
            },
            "outputs": {
                "type": "array",
                "description": "The outputs to return; by default all.",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"enum": [one.name for one in outputs]},
                        "parameters": {"type": "object"},
                    },
                },
            },
        },
    }


def _answer_schema(name: str, outputs: tuple[Described, ...]) -> Json:
    return {
        "type": "object",
        "required": ["model_name", "outputs"],
        "properties": {
            "id": {"type": "string"},
            "model_name": {"const": name},
            "model_version": {"type": "string"},
            "parameters": {"type": "object"},
            "outputs": {
                "type": "array",
                "items": {"anyOf": [tensor_schema(one, answered=True) for one in outputs]},
            },
        },
    }
