"""The gate checks a request's JSON first, so that neither depth nor shapes can end Triton."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.gate import Answer, Gate, running

from naiad.gate import GateSettings, limits

INFER = "/v2/models/a/infer"


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with running(GateSettings(max_request_mb=64)) as gate:
        yield gate


def ask(gate: Gate, body: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gate.ask("POST", INFER, body, named)


def tensor(shape: Any, **more: Any) -> bytes:
    return json.dumps(
        {"inputs": [{"name": "x", "shape": shape, "datatype": "INT32", **more}]}
    ).encode()


def test_requests_as_clients_write_them_pass(gate: Gate) -> None:
    nested = [[1.5, -2e-3], [float("nan"), 0]]
    for body in (
        tensor([2, 2], data=nested, parameters={"binary_data_size": 16}),
        tensor([0, 1433], data=[]),
        tensor([], data=[1]),
        b' {"id": "\\"shape\\": [9e99]", "inputs": [ { "shape" : [ 2 ] , "data":[1,2]} ] } ',
        b"",
        json.dumps({"text": "shape: [99999999999999]", "big": list(range(1000))}).encode(),
    ):
        assert ask(gate, body).status == 200, body


@pytest.mark.parametrize(
    "shape",
    [[10**10], [2**62], [2**31, 2**31], [10**19], [-1], [1.5], ["3"], 5, None, [[3]], [True]],
)
def test_a_shape_that_the_request_cannot_fill_is_refused(gate: Gate, shape: Any) -> None:
    answer = ask(gate, tensor(shape, data=[1]))
    assert answer.status == 400
    assert b"shape" in answer.body


@pytest.mark.parametrize(
    "text",
    [
        b'{"inputs":[{"\\u0073hape":[10000000000],"data":[]}]}',
        b'{"inputs":[{"shape"\n\t:\r[10000000000],"data":[]}]}',
        b'{"inputs":[{"shape":[1e10],"data":[]}]}',
        b'{"inputs":[{"shape":[1],"shape":[10000000000],"data":[]}]}',
        b'{"inputs":[{"shape"/**/:[10000000000],"data":[]}]}',
        b'{"inputs":[{"shape":/**/[10000000000],"data":[]}]}',
        '{"inputs":[{"shape":[10000000000]}]}'.encode("utf-16"),
        b'\xef\xbb\xbf{"inputs":[]}',
        b'{"inputs":[\x00{"shape":[10000000000]}]}',
        b'{"inputs',
        b"{'inputs':[]}",
    ],
)
def test_other_spellings_hide_no_shape(gate: Gate, text: bytes) -> None:
    assert ask(gate, text).status == 400


def test_json_nests_as_deep_as_anyone_needs_and_no_deeper(gate: Gate) -> None:
    assert ask(gate, b"[" * 64 + b"]" * 64).status == 200
    for opened in (b"[" * 65, b'{"a":' * 65, b"[" * 30_000_000):
        answer = ask(gate, opened)
        assert answer.status == 400
        assert b"nests deeper than 64" in answer.body


def test_binary_tensors_stand_behind_the_json_and_are_not_read(gate: Gate) -> None:
    head = tensor([1000], parameters={"binary_data_size": 4000})
    tail = b"[" * 4000
    header = {"inference_header_content_length": str(len(head))}
    answer = ask(gate, head + tail, **header)
    assert (answer.status, json.loads(answer.body)["length"]) == (200, len(head) + len(tail))
    assert ask(gate, head + tail).status == 400
    assert ask(gate, tail, inference_header_content_length="0").status == 200


@pytest.mark.parametrize("length", ["-1", "+5", "5 5", "abc", "", "1e3", "99999999999", "0x5"])
def test_a_length_of_the_json_that_is_no_number_is_refused(gate: Gate, length: str) -> None:
    assert ask(gate, tensor([1]), inference_header_content_length=length).status == 400


def test_large_json_is_told_to_be_binary(gate: Gate) -> None:
    answer = ask(gate, b" " * (limits.JSON_BYTES + 1))
    assert answer.status == 400
    assert b"send tensors as binary data" in answer.body
    assert ask(gate, b"1," * (limits.JSON_BYTES // 2)).status == 200


def test_what_loads_and_changes_settings_is_walked_as_well(gate: Gate) -> None:
    for path in ("/v2/repository/index", "/v2/models/a/generate"):
        assert gate.ask("POST", path, b"[" * 100).status == 400


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcxyz "), inner),
    max_leaves=30,
)


@settings(max_examples=100, deadline=None)
@given(VALUES, st.sampled_from([None, 1]))
def test_whatever_python_writes_as_json_passes(gate: Gate, value: Any, indent: int | None) -> None:
    assert ask(gate, json.dumps(value, indent=indent).encode()).status == 200
    assert ask(gate, json.dumps(value, ensure_ascii=False).encode(errors="replace")).status == 200


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**70), min_size=1, max_size=6))
def test_a_shape_passes_exactly_where_its_elements_fit_the_request(
    gate: Gate, shape: list[int]
) -> None:
    body = tensor(shape)
    count = 1
    for dim in shape:
        count *= dim
    fits = count <= len(body) and all(len(str(dim)) <= 18 for dim in shape)
    assert (ask(gate, body).status == 200) == fits
