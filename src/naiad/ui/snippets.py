"""Calls of a model to paste: from Python, curl, C++ and perf_analyzer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from naiad.application import application
from naiad.codegen.cpp import struct_name
from naiad.errors import NaiadError
from naiad.tasks.calls import TaskCall
from naiad.tasks.task import Simulates
from naiad.ui.examples import declared
from naiad.ui.surface import Surface
from naiad.ui.tensors import example_tensors

LANGUAGES: Final = {"Python": "python", "curl": "shell", "C++": "cpp", "perf_analyzer": "shell"}
"""The snippets, each with the name of its highlighting."""

Json = dict[str, Any]


def snippets(surface: Surface, model: str, own_url: str) -> dict[str, str]:
    """Return a call of a model by language.

    Args:
        surface: the server.
        model: its name.
        own_url: of the application that serves the page, as the browser has it.

    Raises:
        NaiadError: the model's metadata cannot be fetched.
    """
    calls = surface.tasks.calls()
    name, call = next(((n, c) for n, c in calls.items() if c.model == model), ("", None))
    metadata = surface.tasks.client.metadata(model)
    texts = (
        _python(surface.url, model, call, metadata),
        _curl(surface, model, name, call, metadata, own_url),
        _cpp(surface.url, model),
        _perf_analyzer(surface.url, model),
    )
    return dict(zip(LANGUAGES, texts, strict=True))


def _python(url: str, model: str, call: TaskCall | None, metadata: Json) -> str:
    head = f'import naiad\n\nwith naiad.Client("{url}") as client:\n'
    if call is None or call.has_many:
        tensors = "".join(f'        "{n}": {_numpy(a)},\n' for n, a in _tensors(metadata))
        body = f'    print(client.infer("{model}", {{\n{tensors}    }}))\n'
        return f"import numpy as np\n{head}{body}"
    task = call.task
    units, options = declared(call)
    shown = "".join(
        f", {one.name}={value!r}"
        for one in call.fields
        if one.name in options
        for value in [_value(call, one.name, options[one.name])]
    )
    unit = json.dumps(units[0] if call.is_typed else _file(call), ensure_ascii=False)
    given = f"[{unit}]" if task.listed else unit
    client = f"client.{task.name}"
    if model != task.model:
        client = f'{type(task).__name__}.client_of(client.model("{model}"))'
        head = f"from {type(task).__module__} import {type(task).__name__}\n{head}"
    return f"{head}    print({client}.infer({given}{shown}))\n"


def _curl(
    surface: Surface, model: str, name: str, call: TaskCall | None, metadata: Json, own: str
) -> str:
    key = ' -H "X-API-Key: $NAIAD_API_KEY"' if surface.secured else ""
    if call is not None:
        address = f"{own.rstrip('/')}/v1/tasks/{name}"
        if not call.is_typed:
            return f"curl {address}{key} -F files=@{_file(call)}\n"
        units, options = declared(call)
        plain = {n: _value(call, n, text) for n, text in options.items()}
        body = {call.task.unit.replace(" ", "_"): list(units), **plain}
    else:
        address = f"{_http(surface, own)}/v2/models/{model}/infer"
        kinds = {one["name"]: one["datatype"] for one in metadata["inputs"]}
        body = {
            "inputs": [
                {
                    "name": n,
                    "datatype": kinds[n],
                    "shape": list(array.shape),
                    "data": array.reshape(-1).tolist(),
                }
                for n, array in _tensors(metadata)
            ]
        }
    text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return f"curl {address}{key} \\\n  -H 'Content-Type: application/json' \\\n  -d '{text}'\n"


def _cpp(url: str, model: str) -> str:
    known = application(model)
    spec = known.name if known is not None else "my_model.py:MyModel"
    struct = struct_name(model)
    return (
        f"// naiad codegen cpp {spec} -o {model}.hpp\n"
        f'#include <naiad/client.hpp>\n#include "{model}.hpp"\n\n'
        f"int main() {{\n"
        f'  naiad::Client client("{url}");\n'
        f"  const naiad::models::{struct} model(client);\n"
        f"  naiad::models::{struct}Input input;  // fill its tensors\n"
        f"  const naiad::models::{struct}Output output = model.infer(input);\n"
        "}\n"
    )


def _perf_analyzer(url: str, model: str) -> str:
    known = application(model)
    named = known.name if known is not None else model
    asked = "" if known is not None else f" --url {url}"
    address = urlsplit(url if "://" in url else f"grpc://{url}")
    protocol = "http" if address.scheme.startswith("http") else "grpc"
    return (
        f"naiad simulate {named} --perf-analyzer data.json{asked}\n"
        f"perf_analyzer -m {model} -i {protocol} -u {address.netloc} \\\n"
        "  --input-data data.json --concurrency-range 1:16\n"
    )


def _tensors(metadata: Json) -> list[tuple[str, Any]]:
    return [*example_tensors(metadata).items()]


def _numpy(array: Any) -> str:
    if array.dtype == object:
        return f'np.full({array.shape}, "text", object)'
    return f'np.zeros({array.shape}, "{array.dtype}")'


def _file(call: TaskCall) -> str:
    """Return a file name that the task takes."""
    task: Any = call.task
    path = Path(task.simulated_output if isinstance(call.task, Simulates) else "")
    if path.suffix:
        return path.name
    return f"{task.unit.rstrip('s')}{task.suffixes[0]}" if task.suffixes else "FILE"


def _value(call: TaskCall, name: str, text: str) -> Any:
    try:
        value = getattr(call.options({name: text}), name)
    except NaiadError:
        return text
    return list(value) if isinstance(value, tuple) else value


def _http(surface: Surface, own: str) -> str:
    return own.rstrip("/") if surface.http_url in ("", "/") else surface.http_url.rstrip("/")
