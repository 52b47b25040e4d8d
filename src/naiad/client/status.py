"""Translation of a server's status and message to an exception of ``naiad.errors``."""

from __future__ import annotations

import re

from naiad.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    NaiadError,
    NotAllowed,
    PipelineError,
    Unavailable,
)

# Names of gRPC status codes; HTTP statuses are translated to them.
_ERRORS: dict[str, type[NaiadError]] = {
    "INVALID_ARGUMENT": InvalidInput,
    "NOT_FOUND": ModelNotFound,
    "UNIMPLEMENTED": InvalidInput,  # such as compression that a gate does not support
    "UNAUTHENTICATED": NotAllowed,
    "PERMISSION_DENIED": NotAllowed,
    "UNAVAILABLE": Unavailable,
    "RESOURCE_EXHAUSTED": Unavailable,
    "CANCELLED": Unavailable,  # by a server that is stopping: this client never cancels
    "DEADLINE_EXCEEDED": DeadlineExceeded,
}

# Statuses of Triton 24.10 and of proxies in front of it. Before 23.10 every error was 400.
_HTTP: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    501: "UNIMPLEMENTED",
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
# The model's process died: INTERNAL to Triton, but the request is not at fault, and a reload brings
# the model back.
_DEAD_MODEL = re.compile(r"^Stub process .* is not healthy")
# Endpoints that need a key; over gRPC Triton answers UNAVAILABLE.
_RESTRICTED = re.compile(r"^This (API|protocol) is restricted")
_NO_CONTROL = re.compile(r"explicit model load / unload is not allowed")
# A proxy answered a gRPC call in plain HTTP.
_HTTP_STATUS = re.compile(r"^Received http2 header with status: (\d{3})")
# Envoy's words for HTTP statuses without a gRPC code.
_TOO_LARGE = re.compile(r"^Payload Too Large|^Request Header Fields Too Large", re.IGNORECASE)
_BEYOND_LIMIT = re.compile(r"message larger than max|metadata size exceeds", re.IGNORECASE)
# gRPC's words for a connection that ended in the middle of an answer.
_BROKEN = re.compile(r"^Stream removed|^Received RST_STREAM", re.IGNORECASE)
# The words of Naiad's runtime for a request that killed its worker twice.
_DEADLY = re.compile(r"did so with this request alone")


def clean(message: str) -> str:
    """Return ``message`` without the text that Triton wraps around a model's own.

    That is the request id in front (the caller knows it), the Python backend's "Failed to process
    the request(s)", and the list of code locations at the end.
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
    if _RESTRICTED.match(message):
        return NotAllowed(message)
    if _NO_CONTROL.search(message) or _BEYOND_LIMIT.search(message):
        return InvalidInput(message)
    if code in ("UNKNOWN", "INTERNAL"):
        if _DEAD_MODEL.match(message) or _BROKEN.match(message):
            return Unavailable(message)
        if _TOO_LARGE.match(message):
            return InvalidInput(message)
        if found := _HTTP_STATUS.match(message):
            code = _HTTP.get(int(found[1]), code)
    return _ERRORS.get(code, PipelineError)(
        message or f"the server answered {code} without a message"
    )


def http_error(status: int, message: str) -> NaiadError:
    """Return the error for an HTTP ``status`` with the server's ``message``."""
    return error(_HTTP.get(status, "INTERNAL"), message)


def is_deadly(error: BaseException | None) -> bool:
    """Return whether the server reports that the request kills its workers."""
    return isinstance(error, Unavailable) and bool(_DEADLY.search(str(error)))
