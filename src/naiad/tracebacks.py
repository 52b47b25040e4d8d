"""Errors of a user's code: their place in it, and tracebacks without the frames of Naiad."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from naiad.error_text import class_name, described, message_of
from naiad.errors import NaiadError

_OWN: Final = (f"{Path(__file__).parent}/", "<frozen importlib", "<frozen runpy")
_LIBRARIES: Final = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib"))
_OTHERS: Final = (*_OWN, *_LIBRARIES)
_BAR: Final = re.compile(r"^ *\| ")  # of a group of exceptions
_MOST: Final = 300  # characters of a message whose traceback has all of it
_FRAME: Final = re.compile(r'  File "(.+)", line \d+')
_HEADER: Final = "Traceback (most recent call last):"


def users_part(text: str) -> str:
    """Return the text of tracebacks, or of a crash, without the frames of Naiad."""
    lines: list[str] = []
    ours = grouped = False
    for line in text.splitlines():
        grouped |= line.endswith(f"+ Exception Group {_HEADER}")
        own = _BAR.sub("", line) if grouped else line
        if frame := _FRAME.match(own):
            ours = frame[1].startswith(_OWN)
        elif not own.startswith("    "):
            ours = own.startswith("Extension modules: ")
        if not ours:
            lines.append(line)
    pairs = zip(lines, [*lines, ""][1:], strict=True)
    return "\n".join(one for one, then in pairs if one != _HEADER or then.startswith("  "))


def traceback_of(error: BaseException) -> str:
    """Return an error's traceback, from the user's first frame on; "" if there is none."""
    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OTHERS):
            trace = trace.tb_next
        lines = traceback.format_exception(type(error), error, trace)
        text = users_part("".join(lines))
    except BaseException:  # formatting runs the error's own code
        return ""
    return text if _FRAME.search(text) else ""


def told(error: BaseException, file: str) -> str:
    """Return an error in one line, after the user's line where it was raised, or the ``file``."""
    if isinstance(error, NaiadError):
        what = _in_one_line(message_of(error))
        if what.startswith((f"{file}:", f"{Path(file).absolute()}:")):
            return what
    elif isinstance(error, SyntaxError):
        what = f"{class_name(error)}: {error.msg}"
    else:
        what = _in_one_line(described(error))
        what = what if len(what) <= _MOST else f"{what[:_MOST]} ..."
    return f"{next(_places(error), file)}: {what}"


def _in_one_line(text: str) -> str:
    return " ".join(filter(None, map(str.strip, text.splitlines())))


def _places(error: BaseException) -> Iterator[str]:
    """Yield the places of an error in the user's files, the innermost first."""
    if isinstance(error, SyntaxError) and error.filename:
        yield f"{shown(error.filename)}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*_OTHERS, "<")):
            yield f"{shown(frame.filename)}:{frame.lineno}"


def shown(file: str | Path) -> str:
    """Return a path relative to the working directory, if it is below."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return str(file)
