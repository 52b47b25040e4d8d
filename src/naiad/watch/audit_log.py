"""The audit log of a watch: JSON lines, appended and flushed to the disk.

A line has no pixel, no name, and no text of an archive or an error: only the fields below. Studies
are named by their StudyInstanceUID, as audit trails of archives do; with ``--deidentify`` by the
new one, so that the log links nothing. The file may be renamed at any time, to rotate it.

Lines are first rows of the journal, in the transaction with what they tell of, and have their
number ``seq`` from there: the line of a process that was killed before it wrote it is written at
the next start, and one that was written is not written again.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import socket
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias, cast

from naiad.errors import NaiadError
from naiad.files import open_private

Event: TypeAlias = "dict[str, Any]"
"""``event``, ``study``, ``task``, ``model``, ``version``, ``outcome``, ``seconds``, and counts."""


class AuditLog:
    """A file of events, which several journals may share."""

    def __init__(self, path: Path) -> None:
        """Append to ``path``.

        Raises:
            InvalidInput: others may read it, or it cannot be written.
        """
        self.path = path
        with open_private(path, os.O_RDWR | os.O_CREAT):
            pass

    def last(self, journal: str) -> int:
        """Return the number of the last event of a journal, by its name, or 0."""
        found = 0
        with (
            open_private(self.path, os.O_RDONLY | os.O_CREAT) as raw,
            io.BufferedReader(cast("io.RawIOBase", raw)) as lines,
        ):
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:  # cut off
                    continue
                if isinstance(event, dict) and event.get("journal") == journal:
                    found = max(found, int(event.get("seq", 0)))
        return found

    def write(self, journal: str, events: Iterable[tuple[int, float, Event]]) -> None:
        """Append events of a journal with their number and time (UNIX).

        Raises:
            NaiadError: the file cannot be written; a part may have been.
        """
        about = {"user": _user(), "host": socket.gethostname(), "pid": os.getpid()}
        lines = [
            json.dumps({"time": _time(at), "journal": journal, "seq": seq, **event, **about})
            for seq, at, event in events
        ]
        if not lines:
            return
        with open_private(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            if (size := file.seek(0, os.SEEK_END)) > 0:
                file.seek(size - 1)
                if file.read(1) != b"\n":  # the machine stopped in the middle of a line
                    lines.insert(0, "")
            data = ("\n".join(lines) + "\n").encode()
            try:
                written = file.write(data)
                os.fsync(file.fileno())
            except OSError as error:
                raise NaiadError(f"{self.path} cannot be written: {error.strerror}") from None
            if written != len(data):
                raise NaiadError(f"{self.path} cannot be written: the disk is full")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat("T", "milliseconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
