"""What kills the process that does it is not tried for ever: found, and left out.

An actor of Ray that dies is started anew and given its chunk again, whatever it died of. So it is
written beside the chunk how often it was begun. After some times its items are done one by one,
each written down before: what a process has died on alone more than once is the item's fault.
"""

from __future__ import annotations

from typing import Any, Final

from naiad.bulk.job import Chunk
from naiad.bulk.journal import read_json, write_json

_TOGETHER: Final = 3
"""So often a chunk is begun before its items are done one by one."""

_ALONE: Final = 2
"""So many deaths on one item are no accident, as that of a machine may be."""


class Tries:
    """How often a chunk was begun, by this process and by others that died of it."""

    def __init__(self, chunk: Chunk) -> None:
        """Write down that the chunk is begun once more."""
        self._path = chunk.folder / f"{chunk.number:07d}.tries"
        found = read_json(self._path, dict[str, Any]) or {"begun": 0, "alone": {}}
        self._begun: int = found["begun"] + 1
        self._alone: dict[str, int] = found["alone"]
        self._write()

    @property
    def one_by_one(self) -> bool:
        """Whether the chunk's items are to be done each alone."""
        return self._begun > _TOGETHER

    def deaths(self, number: int) -> int:
        """How many processes have died on an item, if so many that it must be left out; or 0.

        Otherwise it is written down that the item is under way, until :meth:`survived`.
        """
        tried = self._alone.get(str(number), 0)
        if tried >= _ALONE:
            return tried
        self._alone[str(number)] = tried + 1
        self._write()
        return 0

    def survived(self, number: int) -> None:
        """The item is done; it is written with the next one."""
        self._alone.pop(str(number), None)

    def _write(self) -> None:
        write_json(self._path, {"begun": self._begun, "alone": self._alone})
