"""A server's status and message, as the exception of ``naiad.errors`` that it means."""

from __future__ import annotations

import re

from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    NaiadError,
    PipelineError,
    Unavailable,
)

# Names of gRPC status codes; HTTP statuses are translated to them.
_ERRORS: dict[str, type[NaiadError]] = {
    "INVALID_ARGUMENT": InvalidInput,
    "NOT_FOUND": ModelNotFound,
    "UNAVAILABLE": Unavailable,
    "CANCELLED": Unavailable,  # by a server that ends: this client cancels nothing itself
    "DEADLINE_EXCEEDED": DeadlineExceeded,
}

# What Triton 24.10 answers, and what proxies in front of it do. Tritons before 23.10 answer every
# error with 400.
_HTTP: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    429: "UNAVAILABLE",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_REQUEST_ID = re.compile(r"^\[request id: [^\]]*\] ")
_PYTHON_BACKEND = re.compile(
    r"^Failed to process the request\(s\) for model (?:instance )?'[^']*', message: "
)
_LOCATION = re.compile(r"\n+At:\n.*", re.DOTALL)
_UNKNOWN_MODEL = re.compile(
    r"^(Request for unknown model|requested model '[^']*' is not available)"
)
# A server that is stopping has unloaded the model already.
_UNLOADED = re.compile(r"^Request for unknown model: '[^']*' has no available versions")
# The model's process died: INTERNAL to Triton, but the request is not to blame, and the model is
# back after a reload.
_DEAD_MODEL = re.compile(r"^Stub process .* is not healthy")


def clean(message: str) -> str:
    """Return ``message`` without what Triton wraps around what a model said.

    Removed: the request id in front (the caller knows it), the Python backend's "Failed to
    process the request(s)", and the list of code locations behind it.
    """
    message = _PYTHON_BACKEND.sub("", _REQUEST_ID.sub("", message))
    return _LOCATION.sub("", message).strip()


def error(code: str, message: str) -> NaiadError:
    """Return the error for a gRPC status named ``code`` with the server's ``message``."""
    message = clean(message)
    if _UNLOADED.match(message):
        return Unavailable(message)
    if code == "INVALID_ARGUMENT" and _UNKNOWN_MODEL.match(message):
        return ModelNotFound(message)
    if code == "INTERNAL" and _DEAD_MODEL.match(message):
        return Unavailable(message)
    return _ERRORS.get(code, PipelineError)(message or f"the server answered {code}, no message")


def http_error(status: int, message: str) -> NaiadError:
    """Return the error for an HTTP ``status`` with the server's ``message``."""
    return error(_HTTP.get(status, "INTERNAL"), message)
