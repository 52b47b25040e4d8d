"""Arrays in memory that two processes share, through a file descriptor and not a name.

A ``memfd`` (Linux 3.17+) has no entry in ``/dev/shm``: nothing is left behind however a process
ends, and Docker's 64 MB default for ``/dev/shm`` does not bound it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naiad.core.schema import Arrays

_ALIGN = 64  # a cache line; also enough for any vector load
_KEEP = 64 << 20  # bytes kept mapped between batches; what a larger batch used is given back


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the arrays of several items lie.

    Attributes:
        offsets: of each item the offset of its arrays by name, in bytes.
        size: bytes that they take together.
    """

    offsets: list[dict[str, int]]
    size: int


class Arena:
    """A growable piece of memory into which one process writes arrays and another reads them.

    Each ``write`` replaces what the one before wrote: one batch travels at a time.
    """

    def __init__(self, fd: int | None = None) -> None:
        """Create a new arena, or attach to the one behind an inherited ``fd``."""
        self.fd = os.memfd_create("naiad") if fd is None else fd
        self._map: mmap.mmap | None = None

    def write(self, items: Sequence[Arrays]) -> Layout:
        """Copy the arrays of each item in, none of objects; return where they lie."""
        offsets: list[dict[str, int]] = []
        end = 0
        for item in items:
            own: dict[str, int] = {}
            for name, array in item.items():
                own[name] = end
                end += -(-array.nbytes // _ALIGN) * _ALIGN
            offsets.append(own)
        if not any(items):  # errors need no memory, of which there may be none
            return Layout(offsets, 0)
        memory = self.reserve(end)
        for item, own in zip(items, offsets, strict=True):
            for name, array in item.items():
                if array.size:
                    np.ndarray(array.shape, array.dtype, memory, own[name])[...] = array
        return Layout(offsets, end)

    def holds(self, size: int) -> bool:
        """Return True if there are ``size`` bytes, whichever process made room for them."""
        mapped = 0 if self._map is None else len(self._map)
        return 0 <= size <= mapped or 0 <= size <= os.fstat(self.fd).st_size

    def trim(self) -> None:
        """Give memory beyond what is usually needed back to the system; contents are lost."""
        if self._map is not None and len(self._map) > _KEEP:
            self._map.madvise(mmap.MADV_REMOVE, _KEEP, len(self._map) - _KEEP)

    def close(self) -> None:
        """Close the descriptor; views that are still alive keep their memory."""
        self._map = None
        os.close(self.fd)

    def reserve(self, size: int) -> mmap.mmap:
        """The memory, of at least so many bytes."""
        if self._map is None or len(self._map) < size:
            # Twice what is needed, so that slowly growing batches do not remap each time.
            wanted = max(1 << 20, 1 << (2 * size - 1).bit_length() if size else 0)
            wanted = max(wanted, os.fstat(self.fd).st_size)
            if os.fstat(self.fd).st_size < wanted:
                os.ftruncate(self.fd, wanted)
            self._map = mmap.mmap(self.fd, wanted)
        return self._map
