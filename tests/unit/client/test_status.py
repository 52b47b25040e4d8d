"""A server's status becomes the right exception, with what the model said and no more."""

from __future__ import annotations

import pytest
from tests.support.markdown import ROOT

from naiad.client.status import clean, error, http_error, is_deadly
from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    NaiadError,
    NotAllowed,
    PipelineError,
    Unavailable,
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INVALID_ARGUMENT", InvalidInput),
        ("NOT_FOUND", ModelNotFound),
        ("UNAVAILABLE", Unavailable),
        ("CANCELLED", Unavailable),
        ("DEADLINE_EXCEEDED", DeadlineExceeded),
        ("INTERNAL", PipelineError),
        ("UNKNOWN", PipelineError),
        ("UNIMPLEMENTED", InvalidInput),
        ("UNAUTHENTICATED", NotAllowed),
        ("PERMISSION_DENIED", NotAllowed),
        ("RESOURCE_EXHAUSTED", Unavailable),
    ],
)
def test_each_grpc_status_has_its_error(code: str, kind: type[NaiadError]) -> None:
    raised = error(code, "the server's words")
    assert type(raised) is kind
    assert str(raised) == "the server's words"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput),
        (401, NotAllowed),
        (403, NotAllowed),
        (404, ModelNotFound),
        (413, InvalidInput),
        (415, InvalidInput),
        (429, Unavailable),
        (431, InvalidInput),
        (500, PipelineError),
        (501, InvalidInput),
        (502, Unavailable),
        (503, Unavailable),
        (504, DeadlineExceeded),
    ],
)
def test_each_http_status_has_its_error(status: int, kind: type[NaiadError]) -> None:
    assert type(http_error(status, "words")) is kind


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("values[1] is 3; echo takes 0 to 2", "values[1] is 3; echo takes 0 to 2"),
        ("[request id: <id_unknown>] batch-size must be <= 8", "batch-size must be <= 8"),
        ("[request id: 7] batch-size must be <= 8", "batch-size must be <= 8"),
        (
            "Failed to process the request(s) for model 'echo_0_0', message: RuntimeError: no\n\n"
            "At:\n  /models/echo/1/model.py(45): execute\n",
            "RuntimeError: no",
        ),
        (
            "[request id: 7] Failed to process the request(s) for model instance 'echo_0', "
            "message: ValueError: [request id: 1] is the user's own text",
            "ValueError: [request id: 1] is the user's own text",
        ),
    ],
)
def test_what_triton_wraps_around_a_message_is_removed(written: str, read: str) -> None:
    assert clean(written) == read


def test_an_unknown_model_is_recognised_behind_invalid_argument() -> None:
    # Statistics of an unknown model, and every question to older servers, answer 400.
    assert type(error("INVALID_ARGUMENT", "requested model 'x' is not available")) is ModelNotFound
    unknown = "Request for unknown model: 'x' is not found"
    assert type(http_error(400, unknown)) is ModelNotFound


def test_a_dead_model_process_is_unavailable_not_to_blame() -> None:
    dead = (
        "Failed to process the request(s) for model 'echo_0_0', "
        "message: Stub process 'echo_0_0' is not healthy."
    )
    assert type(error("INTERNAL", dead)) is Unavailable


def test_an_empty_message_still_says_something() -> None:
    assert str(error("INTERNAL", "")) == "the server answered INTERNAL without a message"


@pytest.mark.parametrize("code", ["NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL"])
def test_a_model_that_a_stopping_server_has_unloaded_is_unavailable(code: str) -> None:
    message = "Request for unknown model: 'echo' has no available versions"
    assert type(error(code, message)) is Unavailable


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        # Triton, of an endpoint that needs a key; its code would have the client try again.
        ("UNAVAILABLE", "This protocol is restricted, expecting header 'k'", NotAllowed),
        ("PERMISSION_DENIED", "This API is restricted, expecting header 'k'", NotAllowed),
        ("UNAVAILABLE", "explicit model load / unload is not allowed if ...", InvalidInput),
        # gRPC, of its own limits: the same message is refused again.
        ("RESOURCE_EXHAUSTED", "SERVER: Received message larger than max (9 vs. 8)", InvalidInput),
        ("RESOURCE_EXHAUSTED", "received metadata size exceeds hard limit", InvalidInput),
        # Envoy, where gRPC has no code for its status.
        ("UNKNOWN", "Payload Too Large", InvalidInput),
        ("UNKNOWN", "Received http2 header with status: 413", InvalidInput),
        ("UNKNOWN", "Received http2 header with status: 418", PipelineError),
        ("UNAVAILABLE", "upstream connect error or disconnect/reset before headers", Unavailable),
        # A connection that ends amid the answer.
        ("UNKNOWN", "Stream removed", Unavailable),
        ("INTERNAL", "Received RST_STREAM with error code 2", Unavailable),
    ],
)
def test_words_of_triton_grpc_and_envoy_are_known(
    code: str, message: str, kind: type[NaiadError]
) -> None:
    assert type(error(code, message)) is kind


def test_a_request_that_kills_workers_is_known_by_its_words() -> None:
    words = "the worker died, and did so with this request alone"
    source = (ROOT / "src" / "naiad" / "native" / "worker_handle.h").read_text("utf-8")
    assert words.partition(", ")[2] in source
    assert is_deadly(Unavailable(words))
    assert not is_deadly(Unavailable("the queue is full"))
    assert not is_deadly(PipelineError(words))
    assert not is_deadly(None)
