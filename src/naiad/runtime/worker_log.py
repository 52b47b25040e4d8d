"""The output of a worker's hooks in Triton's log, one entry for each error, warning and print."""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import re
import sys
import time
from typing import Any, Final

ENTRY: Final = re.compile(r"(?P<source>.+)@(?P<model>.+):\d+")
"""Origin of an entry: a logger, or `PRINTED`; then the model, and the line of the call or 0."""

PRINTED: Final = "print"
_LETTERS: Final = {"DEBUG": "I", "INFO": "I", "WARNING": "W", "ERROR": "E", "CRITICAL": "E"}


def log_as(model: str) -> None:
    """Write logging, warnings, prints and the stack of a crash to Triton's log from now on."""
    faulthandler.enable(2)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = io.BufferedWriter(_Entries(fd, model))
        text = io.TextIOWrapper(raw, "utf-8", "backslashreplace", line_buffering=True)
        setattr(sys, name, text)
    logging.basicConfig(level=logging.INFO, handlers=[_Log(model)], force=True)
    logging.captureWarnings(True)


def _header(letter: str, source: str, model: str, line: int) -> str:
    now = time.time()
    at = time.strftime("%m%d %H:%M:%S", time.gmtime(now))
    return f"{letter}{at}.{int(now % 1 * 1e6):06d} {os.getpid()} {source}@{model}:{line}] "


class _Log(logging.Handler):
    """Writes a record at once, so that the entries of several processes do not mix."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(message)s"))
        self._model = model

    def emit(self, record: logging.LogRecord) -> None:
        try:
            letter = _LETTERS.get(record.levelname, "I")
            header = _header(letter, record.name, self._model, record.lineno)
            os.write(
                2, f"{header}{self.format(record).rstrip()}\n".encode(errors="backslashreplace")
            )
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)


class _Entries(io.RawIOBase):
    """File whose lines become entries of the log."""

    def __init__(self, fd: int, model: str) -> None:
        self._fd, self._model = fd, model

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Any) -> int:
        text = bytes(data)
        if text.strip():
            header = _header("I", PRINTED, self._model, 0).encode()
            os.write(self._fd, header + text.rstrip(b"\n") + b"\n")
        return len(text)
