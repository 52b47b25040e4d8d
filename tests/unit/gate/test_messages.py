"""Keys for some models over gRPC: the gate reads the same name as Triton."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.gate import SERVICE, Gate, running
from tritonclient.grpc import service_pb2

from naiad.gate import GateSettings
from naiad.gate.keys import add_key

OF_A_MODEL = {
    "ModelReady": "name",
    "ModelMetadata": "name",
    "ModelConfig": "name",
    "ModelStatistics": "name",
    "ModelInfer": "model_name",
    "RepositoryModelLoad": "model_name",
    "RepositoryModelUnload": "model_name",
}


class Asked:
    """Run a gate; yield it and a channel to it with a key for the models a and b."""

    def __init__(self, gate: Gate, channel: grpc.Channel, key: str) -> None:
        self.gate, self.channel, self.key = gate, channel, key

    def __call__(self, message: bytes, method: str = "ModelInfer") -> tuple[grpc.StatusCode, str]:
        call = self.channel.unary_unary(SERVICE + method)
        try:
            call(message, metadata=(("x-api-key", self.key),), timeout=20)
        except grpc.RpcError as error:
            return error.code(), error.details()
        assert self.gate.behind.seen[-1].body == message
        return grpc.StatusCode.OK, ""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    key = add_key(file, "alice", ("infer", "control"), models=("a", "b"))
    with running(GateSettings(api_keys=file)) as gate, gate.channel() as channel:
        yield Asked(gate, channel, key)


def request(method: str) -> type:
    return getattr(service_pb2, f"{method}Request")


@pytest.mark.parametrize("method", OF_A_MODEL)
def test_every_call_about_a_model_is_for_the_models_of_the_key(asked: Asked, method: str) -> None:
    kind, field = request(method), OF_A_MODEL[method]
    for name in ("a", "b"):
        message = kind(**{field: name}).SerializeToString()
        assert asked(message, method)[0] is grpc.StatusCode.OK
    for name in ("c", "", "A", "a ", "ab", "a\0"):
        message = kind(**{field: name}).SerializeToString()
        before = len(asked.gate.behind.seen)
        assert asked(message, method) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "this key is for models a, b",
        )
        assert len(asked.gate.behind.seen) == before


@pytest.mark.parametrize("method", ["ModelStreamInfer", "RepositoryIndex", "LogSettings"])
def test_what_is_about_all_models_is_not_for_it(asked: Asked, method: str) -> None:
    assert asked(b"", method)[0] is grpc.StatusCode.PERMISSION_DENIED


def test_the_last_of_several_names_counts_as_it_does_for_triton(asked: Asked) -> None:
    a, c = b"\n\1a", b"\n\1c"
    parse = service_pb2.ModelInferRequest.FromString
    assert parse(a + c).model_name == "c"
    assert asked(a + c)[0] is grpc.StatusCode.PERMISSION_DENIED
    assert asked(c + a)[0] is grpc.StatusCode.OK
    # A name of another wire type is another field to every parser, and does not count.
    assert parse(a + b"\x08\x05").model_name == "a"
    assert asked(a + b"\x08\x05")[0] is grpc.StatusCode.OK


def test_a_large_request_of_many_tensors_is_read(asked: Asked) -> None:
    message = service_pb2.ModelInferRequest(id="x" * 300)
    for index in range(500):
        message.inputs.add(name=f"x{index}", datatype="FP32", shape=[2**40, index])
        message.raw_input_contents.append(b"\n\1c" * 5000)
    message.model_name = "b"
    assert asked(message.SerializeToString())[0] is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "damage",
    [
        b"\n",  # no length
        b"\n\x05ab",  # longer than the message
        b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",  # beyond 32 bits
        b"\n\x81\x00a",  # a longer form of 1
        b"\x8a\x00\x01a",  # a longer form of the field
        b"\x0b\x0c",  # a group
        b"\x0f",  # no kind
        b"\x02\x01a",  # the field 0
        b"\x08" + b"\xff" * 10,  # an endless number
        b"\x09\0\0",  # cut off
        b"\x0d\0",
        b"\x12\1\n" * 5000,  # more fields than a request has
    ],
)
def test_what_parsers_may_differ_about_is_refused(asked: Asked, damage: bytes) -> None:
    before = len(asked.gate.behind.seen)
    for message in (damage, b"\n\1a" + damage, damage + b"\n\1a"):
        code, text = asked(message)
        assert code is not grpc.StatusCode.OK
        assert "cannot be read" in text or "is for models" in text
    assert len(asked.gate.behind.seen) == before


def test_bytes_that_are_not_one_message_are_refused(asked: Asked) -> None:
    good = b"\n\1a"
    frame = b"\0\0\0\0\x03" + good
    before = len(asked.gate.behind.seen)
    for body in (b"", b"\0\0\0\0", frame + frame, frame[:-1], frame + b"x", b"\1" + frame[1:]):
        answer = asked.gate.ask(
            "POST",
            SERVICE + "ModelInfer",
            body,
            {"content-type": "application/grpc", "x-api-key": asked.key},
        )
        assert answer.headers["grpc-status"] == "3", body
    assert len(asked.gate.behind.seen) == before


def fields() -> st.SearchStrategy[bytes]:
    """Draw a field of a message, in any valid encoding."""

    def varint(value: int) -> bytes:
        out = b""
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        return out + bytes([value])

    number = st.sampled_from([1, 2, 5, 7, 100, 2**20, 2**29 - 1])
    text = st.sampled_from([b"a", b"b", b"c", b"", b"\n\1c"]) | st.binary(max_size=300)
    return st.one_of(
        st.builds(lambda n, t: varint(n << 3 | 2) + varint(len(t)) + t, number, text),
        st.builds(lambda n, v: varint(n << 3) + varint(v), number, st.integers(0, 2**64 - 1)),
        st.builds(lambda n, v: varint(n << 3 | 1) + v, number, st.binary(min_size=8, max_size=8)),
        st.builds(lambda n, v: varint(n << 3 | 5) + v, number, st.binary(min_size=4, max_size=4)),
    )


@settings(max_examples=300)
@given(st.lists(fields(), max_size=12).map(b"".join) | st.binary(max_size=40))
def test_the_gate_and_protobuf_read_the_same_name(asked: Asked, message: bytes) -> None:
    # Read as a message of one text, as the other fields may have other types here.
    try:
        name: str | None = service_pb2.ModelReadyRequest.FromString(message).name
    except Exception:
        name = None
    code, _ = asked(message, "ModelReady")
    if name is None:
        return  # Triton refuses it anyway
    if name not in ("a", "b"):
        assert code is not grpc.StatusCode.OK
    elif code is not grpc.StatusCode.OK:
        # It may refuse a message that protobuf reads only if no encoder writes it like that.
        kept = service_pb2.ModelReadyRequest.FromString(message)
        assert kept.SerializeToString() != message
