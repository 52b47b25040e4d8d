"""Arrays in memory that two processes share, through a file descriptor and not a name.

A ``memfd`` (Linux 3.17+) has no entry in ``/dev/shm``: nothing is left behind however a process
ends, and Docker's 64 MB default for ``/dev/shm`` does not bound it.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from naiad.schema import Array, Arrays

_ALIGN = 64  # a cache line; also enough for any vector load
_KEEP = 64 << 20  # bytes kept mapped between batches; what a larger batch used is given back


@dataclass(frozen=True, slots=True)
class Block:
    """Where one array lies: dtype, shape and byte offset; ``lengths`` for arrays of bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    lengths: tuple[int, ...] | None = None


Layout: TypeAlias = "list[dict[str, Block]]"


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
        layout: Layout = []
        end = 0
        for item in items:
            blocks: dict[str, Block] = {}
            for name, array in item.items():
                lengths = None if array.dtype != object else tuple(len(v) for v in array.flat)
                blocks[name] = Block(array.dtype.str, array.shape, end, lengths)
                size = array.nbytes if lengths is None else sum(lengths)
                end += -(-size // _ALIGN) * _ALIGN
            layout.append(blocks)
        memory = self._mapped(end)
        for item, blocks in zip(items, layout, strict=True):
            for name, array in item.items():
                _copy_in(memory, blocks[name], array)
        return layout

    def read(self, layout: Layout) -> list[dict[str, Array]]:
        """Read-only views of what the other process wrote, valid until its next ``write``."""
        ends = (b.offset + _size(b) for blocks in layout for b in blocks.values())
        memory = self._mapped(max(ends, default=0))
        return [{name: _view(memory, b) for name, b in blocks.items()} for blocks in layout]

    def trim(self) -> None:
        """Give memory beyond what is usually needed back to the system; contents are lost."""
        if self._map is not None and len(self._map) > _KEEP:
            self._map.madvise(mmap.MADV_REMOVE, _KEEP, len(self._map) - _KEEP)

    def close(self) -> None:
        """Close the descriptor; views that are still alive keep their memory."""
        self._map = None
        os.close(self.fd)

    def _mapped(self, size: int) -> mmap.mmap:
        if self._map is None or len(self._map) < size:
            # Twice what is needed, so that slowly growing batches do not remap each time.
            wanted = max(1 << 20, 1 << (2 * size - 1).bit_length() if size else 0)
            wanted = max(wanted, os.fstat(self.fd).st_size)
            if os.fstat(self.fd).st_size < wanted:
                os.ftruncate(self.fd, wanted)
            self._map = mmap.mmap(self.fd, wanted)
        return self._map


def _size(block: Block) -> int:
    if block.lengths is not None:
        return sum(block.lengths)
    return int(np.dtype(block.dtype).itemsize * np.prod(block.shape, dtype=np.int64))


def _copy_in(memory: mmap.mmap, block: Block, array: Array) -> None:
    if block.lengths is not None:
        data = b"".join(array.flat)
        memory[block.offset : block.offset + len(data)] = data
    elif array.size:
        np.ndarray(block.shape, block.dtype, memory, block.offset)[...] = array


def _view(memory: mmap.mmap, block: Block) -> Array:
    if block.lengths is None:
        if 0 in block.shape:
            return np.empty(block.shape, block.dtype)
        view = np.ndarray(block.shape, block.dtype, memory, block.offset)
        view.flags.writeable = False
        return view
    flat = np.empty(len(block.lengths), dtype=object)
    at = block.offset
    for number, length in enumerate(block.lengths):
        flat[number] = memory[at : at + length]
        at += length
    return flat.reshape(block.shape)
