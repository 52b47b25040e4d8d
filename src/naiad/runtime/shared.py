"""Arrays in memory that two processes share through a file descriptor.

A ``memfd`` (Linux 3.17+) has no entry in ``/dev/shm``: no process leaves anything behind, and
Docker's 64 MB default for ``/dev/shm`` does not limit it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naiad.core.schema import Arrays

_ALIGN = 64  # a cache line; also enough for any vector load
_KEEP = 64 << 20  # bytes kept mapped between batches; more is returned to the system


@dataclass(frozen=True, slots=True)
class Layout:
    """Offsets of several items' arrays.

    Attributes:
        offsets: for each item, the offsets of its arrays by name, in bytes.
        size: total bytes.
    """

    offsets: list[dict[str, int]]
    size: int


class Arena:
    """A growable piece of memory into which one process writes arrays and another reads them.

    Each ``write`` overwrites the previous one: one batch is in transit at a time.
    """

    def __init__(self, fd: int | None = None) -> None:
        """Create a new arena, or attach to the one behind an inherited ``fd``."""
        self.fd = os.memfd_create("naiad") if fd is None else fd
        self._map: mmap.mmap | None = None

    def write(self, items: Sequence[Arrays]) -> Layout:
        """Copy in the arrays of each item (not object arrays) and return their layout."""
        offsets: list[dict[str, int]] = []
        end = 0
        for item in items:
            own: dict[str, int] = {}
            for name, array in item.items():
                own[name] = end
                end += -(-array.nbytes // _ALIGN) * _ALIGN
            offsets.append(own)
        if not any(items):  # errors need no memory, which may have run out
            return Layout(offsets, 0)
        memory = self.reserve(end)
        for item, own in zip(items, offsets, strict=True):
            for name, array in item.items():
                if array.size:
                    np.ndarray(array.shape, array.dtype, memory, own[name])[...] = array
        return Layout(offsets, end)

    def holds(self, size: int) -> bool:
        """Return True if there are ``size`` bytes, whichever process allocated them."""
        mapped = 0 if self._map is None else len(self._map)
        return 0 <= size <= mapped or 0 <= size <= os.fstat(self.fd).st_size

    def trim(self) -> None:
        """Return memory beyond the usual need to the system; contents are lost."""
        if self._map is not None and len(self._map) > _KEEP:
            self._map.madvise(mmap.MADV_REMOVE, _KEEP, len(self._map) - _KEEP)

    def close(self) -> None:
        """Close the descriptor; existing views keep their memory."""
        self._map = None
        os.close(self.fd)

    def reserve(self, size: int) -> mmap.mmap:
        """Return memory of at least ``size`` bytes."""
        if self._map is None or len(self._map) < size:
            # Twice the need, so that slowly growing batches do not remap each time.
            wanted = max(1 << 20, 1 << (2 * size - 1).bit_length() if size else 0)
            wanted = max(wanted, os.fstat(self.fd).st_size)
            if os.fstat(self.fd).st_size < wanted:
                os.ftruncate(self.fd, wanted)
            self._map = mmap.mmap(self.fd, wanted)
        return self._map
