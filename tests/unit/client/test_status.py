"""A server's status becomes the right exception, with what the model said and no more."""

from __future__ import annotations

import pytest

from naiad.client.status import clean, error, http_error
from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    NaiadError,
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
        ("UNIMPLEMENTED", PipelineError),
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
        (404, ModelNotFound),
        (429, Unavailable),
        (500, PipelineError),
        (501, PipelineError),
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
    assert str(error("INTERNAL", "")) == "the server answered INTERNAL, no message"


@pytest.mark.parametrize("code", ["NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL"])
def test_a_model_that_a_stopping_server_has_unloaded_is_unavailable(code: str) -> None:
    message = "Request for unknown model: 'echo' has no available versions"
    assert type(error(code, message)) is Unavailable
