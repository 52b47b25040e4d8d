"""A request run by a pipeline's hooks in this process, with the error that a hook raised."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from naiad.core.schema import Array, Arrays
from naiad.errors import NaiadError
from naiad.runtime.runner import Report, Runner


class _Raised(logging.Handler):
    """Keeps the last error that a hook raised."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.error = record.exc_info[1] if record.exc_info else None


@contextmanager
def unlogged() -> Generator[_Raised]:
    """Keep the last error of hooks in place of logging them."""
    log, raised = logging.getLogger(Runner.__module__), _Raised()
    log.addHandler(raised)
    before, log.propagate = log.propagate, False
    try:
        yield raised
    finally:
        log.propagate = before
        log.removeHandler(raised)


def attempt(runner: Runner, arrays: Arrays) -> tuple[dict[str, Array], Report]:
    """Answer one request; return its outputs, and the seconds of each stage.

    Raises:
        NaiadError: the request was refused.
        BaseException: a hook raised it.
    """
    with unlogged() as raised:
        report = runner.run([runner.contract.request(arrays, "", {})])
    outcome = report.outcomes[0]
    if isinstance(outcome, NaiadError):
        raise raised.error or outcome
    return outcome, report
