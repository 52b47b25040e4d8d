"""Quarantine of items that repeatedly crash their worker.

Ray restarts a dead actor and gives it its chunk again, whatever it died of. So the number of
attempts is written beside the chunk. After a few, its items are processed one by one, each recorded
beforehand: an item that more than one process died on alone is skipped.
"""

from __future__ import annotations

from typing import Any, Final

from naiad.bulk.inputs import Chunk
from naiad.bulk.journal import read_json, write_json

_TOGETHER: Final = 3
"""Attempts at a whole chunk, before its items are processed one by one."""

_ALONE: Final = 2
"""Deaths on an item before it is skipped; a single one may be due to the machine."""


class Attempts:
    """Attempts at a chunk, by this process and by others that died."""

    def __init__(self, chunk: Chunk) -> None:
        """Record one more attempt."""
        self._path = chunk.folder / f"{chunk.number:07d}.tries"
        found = read_json(self._path, dict[str, Any]) or {"begun": 0, "alone": {}}
        self._begun: int = found["begun"] + 1
        self._alone: dict[str, int] = found["alone"]
        self._write()

    @property
    def one_by_one(self) -> bool:
        """Whether to process the chunk's items one by one."""
        return self._begun > _TOGETHER

    def deaths(self, number: int) -> int:
        """Return the number of processes that died on an item, if it must be skipped, or 0.

        If it is 0, record that the item is in progress, until :meth:`survived`.
        """
        tried = self._alone.get(str(number), 0)
        if tried >= _ALONE:
            return tried
        self._alone[str(number)] = tried + 1
        self._write()
        return 0

    def survived(self, number: int) -> None:
        """Note that the item is done; this is written with the next one."""
        self._alone.pop(str(number), None)

    def _write(self) -> None:
        write_json(self._path, {"begun": self._begun, "alone": self._alone})
