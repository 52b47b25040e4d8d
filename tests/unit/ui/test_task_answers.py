"""The HTTP status of each kind of error."""

from __future__ import annotations

import pytest

from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    MissingExtra,
    ModelNotFound,
    NaiadError,
    NotAllowed,
    PipelineError,
    StoreError,
    Unavailable,
)
from naiad.openapi.document import FAILURES
from naiad.ui.task_answers import BusyError, TooLargeError, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("x"), 400),
        (NotAllowed("x"), 403),
        (ModelNotFound("x"), 404),
        (TooLargeError("x"), 413),
        (BusyError("x"), 429),
        (PipelineError("x"), 500),
        (MissingExtra("plots", "matplotlib"), 501),
        (Unavailable("x"), 503),
        (StoreError("x"), 503),
        (DeadlineExceeded("x"), 504),
    ],
)
def test_an_error_has_a_status_that_the_document_explains(error: NaiadError, status: int) -> None:
    assert status_of(error) == status
    assert status in FAILURES
