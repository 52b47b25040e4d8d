"""HDF5 files that survive a full disk and an interrupt.

The HDF5 library crashes if a write fails, at the latest when it closes the file (seen with 2.0).
So it writes to memory here, in a thread that no signal interrupts, and complete changes go to disk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final

_PAGE: Final = 1 << 16


class Hdf5Draft:
    """An HDF5 file in progress, which is on disk as of its last commit.

    Use it as a context manager. An exception does not undo commits.

    Attributes:
        commits: number of changes that are on disk.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        """Begin a file; ``options`` are those of `h5py.File`.

        Raises:
            OSError: the file cannot be written.
        """
        import h5py

        self._pages = Pages(path)
        self._thread = _Thread()
        self.commits = 0
        self._whole = True
        self._closed: Future[None] | None = None
        self._file: Any = self._run(lambda: h5py.File(self._pages, "w", **options))

    def commit(self, change: Callable[[Any], None]) -> None:
        """Change the file, an `h5py.File`, and write it to disk.

        Raises:
            OSError: it cannot be written; the file on disk is unchanged, and takes no more.
        """
        if not self._whole:
            raise ValueError("a change to this file has failed")

        def work() -> None:
            change(self._file)
            self._file.flush()
            self._pages.commit()
            self.commits += 1

        try:
            self._run(work)
        except Exception:
            self._whole = False
            raise

    def close(self) -> None:
        """Finish the file with what was committed; do nothing the second time.

        Raises:
            OSError: it cannot be written; the file on disk is unchanged.
        """
        if self._closed is not None:
            self._closed.exception()  # waits for it
            return
        self._closed = self._thread.submit(self._close)
        self._thread.end()
        self._closed.result()

    def __enter__(self) -> Hdf5Draft:
        """Return the draft itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close the file; an error of the disk does not replace one that left the block."""
        if kind is None:
            self.close()
            return
        with suppress(OSError):
            self.close()

    def _run(self, work: Callable[[], Any]) -> Any:
        return self._thread.submit(work).result()

    def _close(self) -> None:
        try:
            self._file.close()
            if self._whole:
                self._pages.commit()
        finally:
            self._pages.close()


class _Thread:
    """A thread that runs one function after the other.

    Python does not wait for it at the end of the process: a `ThreadPoolExecutor` whose first
    ``submit`` is interrupted by Ctrl-C leaves a thread that is waited for and never told to end.
    """

    def __init__(self) -> None:
        self._given: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name="hdf5", daemon=True).start()

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._given.put((future, work))
        return future

    def end(self) -> None:
        self._given.put(None)

    def _work(self) -> None:
        while (item := self._given.get()) is not None:
            future, work = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)


class Pages:
    """A binary file whose changes stay in memory until they are committed, all or nothing."""

    def __init__(self, path: Path) -> None:
        """Begin an empty file.

        Raises:
            OSError: the file cannot be written.
        """
        self._file = path.open("w+b", buffering=0)
        self._changed: dict[int, bytearray] = {}
        self._at = self._size = self._kept = 0

    def commit(self) -> None:
        """Write all changes to disk.

        New bytes go first, as they may not fit; overwritten ones have their place.

        Raises:
            OSError: the disk is full or broken. The file on disk is unchanged, unless overwriting
                failed.
        """
        pages = [(number * _PAGE, page) for number, page in sorted(self._changed.items())]
        try:
            for start, page in pages:
                skipped = max(0, self._kept - start)
                self._put(page[skipped : max(0, self._size - start)], start + skipped)
        except OSError:
            self._file.truncate(self._kept)
            raise
        for start, page in pages:
            self._put(page[: max(0, min(self._kept, self._size) - start)], start)
        self._file.truncate(self._size)
        self._kept = self._size
        self._changed.clear()

    def close(self) -> None:
        """Close the file, without uncommitted changes."""
        self._file.close()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position of the next read or write."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position of the next read or write."""
        return self._at

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        self._size = self._at if size is None else size
        return self._size

    def flush(self) -> None:
        """Do nothing: see :meth:`commit`."""

    def write(self, data: Any) -> int:
        """Write bytes to memory."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            number, start = divmod(self._at, _PAGE)
            part = view[done : done + _PAGE - start]
            page = self._changed.get(number)
            if page is None:
                page = self._changed[number] = self._load(number)
            page[start : start + len(part)] = part
            done += len(part)
            self._at += len(part)
        self._size = max(self._size, self._at)
        return done

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes; h5py requires this method."""
        buffer = bytearray(size)
        return bytes(buffer[: self.readinto(buffer)])

    def readinto(self, buffer: Any) -> int:
        """Read up to the buffer's size, from memory where bytes have changed."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(0, self._size - self._at))
        done = 0
        while done < wanted:
            number, start = divmod(self._at, _PAGE)
            page = self._changed.get(number)
            if page is None:
                page = self._load(number)
            part = page[start : start + wanted - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    def _load(self, number: int) -> bytearray:
        found = os.pread(self._file.fileno(), _PAGE, number * _PAGE)
        return bytearray(found.ljust(_PAGE, b"\0"))

    def _put(self, data: bytearray, at: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._file.fileno(), view, at)
            view, at = view[count:], at + count
