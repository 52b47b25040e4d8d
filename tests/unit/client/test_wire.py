"""Tensors are transferred byte for byte in both protocols."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2

from naiad.client import wire
from naiad.client.grpc import GrpcCalls, to_json
from naiad.client.http import HEADER_LENGTH, HttpCalls, HttpReply
from naiad.client.transport import InferRequest
from naiad.errors import InvalidInput, PipelineError

messages: Any = __import__("tritonclient.grpc.service_pb2", fromlist=["ModelInferResponse"])

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
NUMBERS = st.sampled_from(["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
NUMERIC = hnp.arrays(NUMBERS, SHAPES)
TEXT = hnp.arrays(object, SHAPES, elements=st.binary(max_size=5), fill=st.nothing())
TENSORS = st.one_of(NUMERIC, TEXT)


@given(TENSORS)
def test_unpack_is_the_inverse_of_pack(array: NDArray[Any]) -> None:
    back = wire.unpack(wire.pack(array), wire.datatype(array), array.shape)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_a_strided_array_is_packed_in_row_major_order() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3).T
    np.testing.assert_array_equal(wire.unpack(wire.pack(array), "INT32", (3, 2)), array)


def request(arrays: dict[str, NDArray[Any]], **changes: Any) -> InferRequest:
    plain: dict[str, Any] = {"outputs": None, "parameters": {}, "id": "", "timeout": 60.0}
    return InferRequest(model="echo", arrays=arrays, **{**plain, **changes})


@given(st.dictionaries(st.text("abc_", min_size=1), TENSORS, max_size=3))
def test_grpc_answers_are_read_as_requests_are_written(arrays: dict[str, NDArray[Any]]) -> None:
    call = GrpcCalls().infer(request(arrays))
    method, sent = call.request
    assert method == "ModelInfer"
    answer = messages.ModelInferResponse(
        outputs=[
            messages.ModelInferResponse.InferOutputTensor(
                name=tensor.name, datatype=tensor.datatype, shape=tensor.shape
            )
            for tensor in sent.inputs
        ],
        raw_output_contents=sent.raw_input_contents,
    )
    same(call.read(answer), arrays)


@given(st.dictionaries(st.text("abc_", min_size=1), TENSORS, min_size=1, max_size=3))
def test_http_answers_are_read_as_requests_are_written(arrays: dict[str, NDArray[Any]]) -> None:
    call = HttpCalls().infer(request(arrays))
    body = call.request.body.replace(b'"inputs"', b'"outputs"')
    head = int(call.request.headers[HEADER_LENGTH]) + 1
    same(call.read(HttpReply(200, {HEADER_LENGTH: str(head)}, body)), arrays)


def same(got: dict[str, NDArray[Any]], expected: dict[str, NDArray[Any]]) -> None:
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def test_parameters_keep_their_kinds_over_grpc() -> None:
    parameters = {"a": "x", "b": True, "c": 7, "d": 0.5}
    _, sent = GrpcCalls().infer(request({}, parameters=parameters, id="r1")).request
    assert sent.id == "r1"
    kinds = {name: value.WhichOneof("parameter_choice") for name, value in sent.parameters.items()}
    assert kinds == {
        "a": "string_param",
        "b": "bool_param",
        "c": "int64_param",
        "d": "double_param",
        "timeout": "int64_param",
    }


@pytest.mark.parametrize(("seconds", "sent"), [(1.5, 1_500_000), (1e-9, 1), (1e300, 10**15)])
def test_the_server_is_told_the_timeout_in_microseconds(seconds: float, sent: int) -> None:
    asked = request({}, timeout=seconds)
    assert GrpcCalls().infer(asked).request[1].parameters["timeout"].int64_param == sent
    body = HttpCalls().infer(asked).request.body
    assert json.loads(body)["parameters"]["timeout"] == sent


def test_a_grpc_answer_without_raw_data_is_an_error() -> None:
    answer = messages.ModelInferResponse()
    answer.outputs.add(name="y", datatype="FP32", shape=[1])
    with pytest.raises(PipelineError, match="no raw data"):
        GrpcCalls().infer(request({})).read(answer)


def test_an_http_answer_may_have_its_data_in_json() -> None:
    text = b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1]}]}'
    arrays = HttpCalls().infer(request({})).read(HttpReply(200, {}, text))
    same(arrays, {"y": np.ones(1, np.float32)})


def test_model_names_are_quoted_in_http_paths() -> None:
    assert HttpCalls().config("a/b c").request.path == "/v2/models/a%2Fb%20c/config"


def test_a_message_becomes_plain_json_with_its_defaults() -> None:
    text = """
        {"name": "m", "maxBatchSize": 4,
         "input": [{"name": "x", "dataType": "TYPE_FP32", "dims": ["-1", "3"]}],
         "parameters": {"k": {"stringValue": "v"}}, "dynamicBatching": {}}
    """
    config: Any = json_format.Parse(text, model_config_pb2.ModelConfig())
    plain = to_json(config)
    assert plain["max_batch_size"] == 4
    assert plain["input"][0]["dims"] == [-1, 3]
    assert plain["input"][0]["data_type"] == "TYPE_FP32"
    assert plain["input"][0]["optional"] is False
    assert plain["parameters"] == {"k": {"string_value": "v"}}
    assert plain["dynamic_batching"]["preserve_ordering"] is False
    assert "ensemble_scheduling" not in plain


@given(TENSORS)
def test_the_packed_size_is_known_without_packing(array: NDArray[Any]) -> None:
    assert wire.packed_size(array) == len(wire.pack(array))


@pytest.mark.parametrize("calls", [GrpcCalls, HttpCalls])
def test_a_request_of_2_gib_is_refused_before_it_is_copied(calls: Any) -> None:
    large = np.broadcast_to(np.float32(0), (2**29,))  # of four bytes of memory
    with pytest.raises(
        InvalidInput,
        match=r"the request has 2,147,483,652 bytes \(x: 2,147,483,648\); (gRPC|HTTP) carries less "
        "than 2 GiB. Send it in smaller requests",
    ):
        calls().infer(request({"x": large, "y": np.zeros(1, np.float32)}))
    text = np.broadcast_to(np.array([b"a" * 2**20], object), (2**11,))
    with pytest.raises(InvalidInput, match="less than 2 GiB"):
        calls().infer(request({"x": text}))


def test_a_model_name_that_is_no_unicode_is_sent_escaped() -> None:
    assert GrpcCalls().config("caf\udce9").request[1].name == r"caf\udce9"
    assert HttpCalls().config("caf\udce9").request.path.endswith("/caf%5Cudce9/config")
