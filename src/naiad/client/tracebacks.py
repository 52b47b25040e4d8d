"""Tracebacks of Naiad's errors: the user's line, one frame of Naiad's, and the message.

Below the method that a user calls, an error passes dozens of frames of the transport, the retries
and the generators, which say nothing about the mistake. They are removed when the error leaves
Naiad, and so is a cause with only such frames. ``NAIAD_TRACEBACK=full`` keeps them all.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Final

from naiad.errors import NaiadError

VARIABLE: Final = "NAIAD_TRACEBACK"

_INTERNAL: Final = frozenset(
    {
        *("naiad", "grpc", "tritonclient", "urllib3", "aiohttp", "aiohappyeyeballs", "numpy"),
        *("asyncio", "concurrent", "contextlib", "http", "json", "socket", "ssl", "threading"),
    }
)
"""Top-level packages whose frames do not help a user."""


class _OneFrame:
    """Context manager that keeps an error's first frame, and those of the user's own code."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove Naiad's frames but the first; other errors pass unchanged."""
        if isinstance(error, NaiadError) and traceback and os.environ.get(VARIABLE) != "full":
            traceback.tb_next = _users(traceback.tb_next)
            _leave_out_causes(error)


one_frame: Final = _OneFrame()
"""Wraps the body of each public method that can fail."""


def _users(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of Naiad and its libraries."""
    while traceback and _is_internal(traceback):
        traceback = traceback.tb_next
    if traceback:
        traceback.tb_next = _users(traceback.tb_next)
    return traceback


def _is_internal(traceback: TracebackType) -> bool:
    module = str(traceback.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in _INTERNAL


def _leave_out_causes(error: NaiadError) -> None:
    """Remove the causes before the first that a user's code raised or passed on."""
    first = cause = _cause(error)
    seen: set[int] = set()
    while cause is not None and not _passed_users(cause.__traceback__):
        seen.add(id(cause))
        cause = _cause(cause)
        if id(cause) in seen:  # causes may form a circle
            cause = None
    if cause is not first:
        error.__cause__, error.__context__ = None, cause
        error.__suppress_context__ = cause is None


def _cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _passed_users(traceback: TracebackType | None) -> bool:
    while traceback and _is_internal(traceback):
        traceback = traceback.tb_next
    return traceback is not None
