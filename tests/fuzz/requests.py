"""Randomly changed requests of the KServe v2 protocol, by HTTP and gRPC.

They exclude those that Triton 2.51 itself does not survive, before any backend: bodies of millions
of chunks, JSON nested millions deep, small compressed bodies of gigabytes, and tensors in JSON
whose shape needs more memory than there is (it is allocated first).
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from naiad.core.pipeline import Pipeline, random_arrays
from naiad.core.schema import named_dims

messages: Any = service_pb2

NUMBERS = [
    *(-1, 0, 1, 2, 3, 7, 255, 65536, 65537, 2**31 - 1, 2**31, 2**32, 2**53, 2**60, 2**61, 2**62),
    *(2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**31), -(2**63), -(2**64), 10**30),
]
JSON_VALUES = [
    *("NaN", "-NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "1.5", "-0", "true"),
    *("null", "[]", "{}", '""', '"a"', '"\\ud800"', '"\\u0000"', "[[[]]]", '[{"a": [1]}]', "1e5"),
]
TEXTS = [b"", b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"a" * 9000, b"\x01\x1b[2J"]
TYPES = [*("BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "UINT64", "FP16", "BF16", "FP32")]
TYPES += ["FP64", "BYTES", "", "FP33", "a" * 300]


@dataclass
class Http:
    """A POST to a model's ``infer``."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def a_number(rng: random.Random) -> int:
    return rng.choice(NUMBERS) if rng.random() < 0.8 else rng.randint(-(2**65), 2**65)


def base(rng: random.Random, kind: type[Pipeline]) -> dict[str, Any]:
    """Return arrays that the model takes, sometimes without one of them."""
    sizes = {dim: rng.randint(1, 5) for dim in named_dims(kind.inputs)}
    for name in ("hits", "spacepoints"):
        sizes[name] = 3  # indices need nodes
    arrays = random_arrays(kind.inputs, sizes, rng.randrange(2**32))
    for name, tensor in kind.inputs.items():
        if rng.random() < (0.5 if tensor.optional else 0.02):
            del arrays[name]
    return arrays


def protocol(value: Any) -> bytes:
    if value.dtype != object:
        return value.tobytes()
    return b"".join(len(part).to_bytes(4, "little") + part for part in value.flat)


def changed_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change, cut out or double some bytes, or change an element's length."""
    data_ = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data_) + 1)
        what = rng.random()
        if what < 0.5 and at < len(data_):
            data_[at] = rng.randrange(256)
        elif what < 0.7:
            del data_[at : at + rng.randint(1, 9)]
        elif what < 0.9:
            data_[at:at] = data_[at : at + rng.randint(1, 9)]
        else:
            data_[:4] = (a_number(rng) % 2**32).to_bytes(4, "little")
    return bytes(data_)


def changed_shape(rng: random.Random, shape: list[Any]) -> list[Any]:
    shape = list(shape)
    for _ in range(rng.randint(1, 2)):
        what = rng.random()
        if what < 0.6 and shape:
            shape[rng.randrange(len(shape))] = a_number(rng)
        elif what < 0.8:
            shape.insert(rng.randint(0, len(shape)), a_number(rng))
        elif shape:
            shape.pop()
    return shape


def http(rng: random.Random, kind: type[Pipeline]) -> Http:
    """Make a request in JSON, with or without binary tensors."""
    while _ends_triton((sent := _http(rng, kind)).body):
        pass
    return sent


def _ends_triton(body: bytes) -> bool:
    shapes = re.findall(rb'"shape"\s*:\s*\[([^\]]*)', body)
    sizes = (math.prod(int(n) or 1 for n in re.findall(rb"\d+", shape)) for shape in shapes)
    return b'"data"' in body and any(size > 1_000_000 for size in sizes)


def _http(rng: random.Random, kind: type[Pipeline]) -> Http:
    arrays = base(rng, kind)
    inputs: list[dict[str, Any]] = []
    tail = b""
    for name, value in arrays.items():
        shape = list(value.shape)
        one: dict[str, Any] = {"name": name, "datatype": kind.inputs[name].triton, "shape": shape}
        data = protocol(value)
        if rng.random() < 0.1:
            one["shape"] = changed_shape(rng, shape)
        if rng.random() < 0.05:
            data = changed_bytes(rng, data)
        if rng.random() < 0.05:
            one["datatype"] = rng.choice(TYPES)
        if rng.random() < 0.6 or value.dtype == object:
            size = a_number(rng) if rng.random() < 0.05 else len(data)
            one["parameters"] = {"binary_data_size": size}
            tail += data
        else:
            one["data"] = value.ravel().tolist()
        inputs.append(one)
    if rng.random() < 0.05:
        inputs.append(rng.choice(inputs) if inputs else {})
    document: dict[str, Any] = {"id": "@id", "inputs": inputs, "parameters": {"@name": "@value"}}
    if rng.random() < 0.3:
        document["outputs"] = [
            {"name": name, "parameters": {"binary_data": True}} for name in kind.outputs
        ]
    text = json.dumps(document).encode()
    return _sent(rng, _with_texts(rng, text), tail)


def _with_texts(rng: random.Random, text: bytes) -> bytes:
    def some() -> bytes:
        return rng.choice(TEXTS) if rng.random() < 0.2 else b"text"

    value = b'"' + some() + b'"'
    if rng.random() < 0.5:
        value = rng.choice([*JSON_VALUES, str(a_number(rng))]).encode()
    text = text.replace(b"@id", some()).replace(b"@name", some()).replace(b'"@value"', value)
    if rng.random() < 0.1:  # a number of a shape or of data becomes something else
        digits = [at for at in range(len(text)) if text[at : at + 1].isdigit()]
        at = rng.choice(digits or [0])
        text = text[:at] + rng.choice(JSON_VALUES).encode() + text[at + 1 :]
    if rng.random() < 0.1:
        text = changed_bytes(rng, text)
    return text


def _sent(rng: random.Random, text: bytes, tail: bytes) -> Http:
    headers = {"Inference-Header-Content-Length": str(len(text))}
    if rng.random() < 0.05:
        length = rng.choice([str(a_number(rng)), "", "x", "1e3", str(len(text) - 1), "0x10"])
        headers = {"Inference-Header-Content-Length": length}
    elif rng.random() < 0.05:
        headers = {}
    if rng.random() < 0.05:
        tail = changed_bytes(rng, tail)
    return Http(text + tail, headers)


def grpc(rng: random.Random, kind: type[Pipeline]) -> bytes:
    """Make an encoded ``ModelInferRequest``."""
    request = messages.ModelInferRequest(model_name=kind.name, id="an id")
    for name, value in base(rng, kind).items():
        one = request.inputs.add(name=name, datatype=kind.inputs[name].triton)
        shape = list(value.shape)
        if rng.random() < 0.1:
            shape = changed_shape(rng, shape)
        one.shape.extend((int(size) + 2**63) % 2**64 - 2**63 for size in shape)
        if rng.random() < 0.05:
            one.datatype = rng.choice(TYPES)
        data = protocol(value)
        if rng.random() < 0.1:
            data = rng.choice([b"", changed_bytes(rng, data)])
        if rng.random() < 0.9:
            request.raw_input_contents.append(data)
        elif value.dtype == np.float32:
            one.contents.fp32_contents.extend(value.ravel().tolist())
        else:
            one.contents.int64_contents.extend([a_number(rng) % 2**62])
    for _ in range(rng.randint(0, 2)):
        value = request.parameters[rng.choice(["a", "naiad_priority", "x" * 300, "é"])]
        what = rng.random()
        if what < 0.25:
            value.double_param = rng.choice([float("nan"), float("inf"), -0.0, 1e308])
        elif what < 0.5:
            value.int64_param = a_number(rng) % 2**63
        elif what < 0.75:
            value.string_param = rng.choice(["", "\x00", "\x1b[2J", "é" * 9000])
        else:
            value.bool_param = True
    data = request.SerializeToString()
    return changed_bytes(rng, data) if rng.random() < 0.2 else data
