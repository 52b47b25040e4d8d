"""Arrays in memory that two processes share, through a file descriptor and not a name.

A ``memfd`` (Linux 3.17+) has no entry in ``/dev/shm``: nothing is left behind however a process
ends, and Docker's 64 MB default for ``/dev/shm`` does not bound it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from sys import intern
from typing import TypeAlias

import numpy as np

from naiad.schema import Array, Arrays

_ALIGN = 64  # a cache line; also enough for any vector load
_KEEP = 64 << 20  # bytes kept mapped between batches; what a larger batch used is given back


Block: TypeAlias = "tuple[str, tuple[int, ...], int, tuple[int, ...] | None]"
"""Where one array lies: dtype, shape, byte offset, and for arrays of bytes the length of each.

A plain tuple: hundreds travel with a batch, and instances of a class take several times as long.
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the arrays of several items lie, by name, and how many bytes they take together."""

    items: list[dict[str, Block]]
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
        """Copy the arrays of each item in; return where they lie."""
        layout: list[dict[str, Block]] = []
        end = 0
        for item in items:
            blocks: dict[str, Block] = {}
            for name, array in item.items():
                dtype = array.dtype
                lengths = None if dtype.kind != "O" else tuple(len(v) for v in array.flat)
                # Interned, so that it travels once.
                blocks[name] = (intern(dtype.str), array.shape, end, lengths)
                size = array.nbytes if lengths is None else sum(lengths)
                end += -(-size // _ALIGN) * _ALIGN
            layout.append(blocks)
        if not any(items):  # errors need no memory, of which there may be none
            return Layout(layout, 0)
        memory = self.reserve(end)
        for item, blocks in zip(items, layout, strict=True):
            for name, array in item.items():
                _copy_in(memory, blocks[name], array)
        return Layout(layout, end)

    def read(self, layout: Layout) -> list[dict[str, Array]]:
        """Read-only views of what the other process wrote, valid until its next ``write``."""
        memory = self.reserve(layout.size)
        return [{name: _view(memory, b) for name, b in blocks.items()} for blocks in layout.items]

    @property
    def size(self) -> int:
        """Bytes that there are, whichever process made room for them."""
        return os.fstat(self.fd).st_size

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


def _copy_in(memory: mmap.mmap, block: Block, array: Array) -> None:
    _, shape, offset, lengths = block
    if lengths is not None:
        data = b"".join(array.flat)
        memory[offset : offset + len(data)] = data
    elif array.size:
        np.ndarray(shape, array.dtype, memory, offset)[...] = array


def _view(memory: mmap.mmap, block: Block) -> Array:
    dtype, shape, offset, lengths = block
    if lengths is None:
        if 0 in shape:
            return np.empty(shape, dtype)
        view = np.ndarray(shape, dtype, memory, offset)
        view.setflags(write=False)
        return view
    flat = np.empty(len(lengths), dtype=object)
    for number, length in enumerate(lengths):
        flat[number] = memory[offset : offset + length]
        offset += length
    return flat.reshape(shape)
