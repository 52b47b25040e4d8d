"""A folder of generations: one file per published state of an embedded database.

::

    store.json     which generation is the published one, and its schema
    000002.lbug    that generation; nobody writes to it
    000002.TABLE.VECTOR.*  approximate indexes of its vectors, if it has any
    000003.writing what a writer is at work on
    store.lock     held by the writer

An index belongs to one generation and is published with it, so that none is ever older than the
vectors beside it.

Ladybug 0.22 lets a process open a database read-only while another one writes to it, and then fails
in some of the cases: while the writer makes a checkpoint, or where the log is read half written
(its issues 666, 766 and 1007 have crashes of readers). So here nobody reads what is written to. A
writer works on a copy. To publish is to finish the copy and to replace ``store.json``, which is
atomic; a reader has the state of when it opened, whole, for as long as it wants.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from naiad.applications.store.schema import GraphSchema
from naiad.errors import MissingExtra, SchemaError, StoreError
from naiad.typed_json import decode

MANIFEST: Final = "store.json"
_LOCK: Final = "store.lock"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Indexed:
    """A vector that has an approximate index.

    Attributes:
        table: of the nodes.
        vector: its name.
        number: how many nodes have one.
        trained: how many had when the index was made.
        changed: how many were set since.
    """

    table: str
    vector: str
    number: int
    trained: int
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``store.json`` says.

    Attributes:
        generation: the number of the published state, from 1.
        engine: the database that wrote it, and its version.
        schema: of the graph.
        approximate_from: with so many nodes a vector gets an approximate index.
        indexes: those that there are.
    """

    generation: int
    engine: str
    schema: GraphSchema
    approximate_from: int
    indexes: tuple[Indexed, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreFolder:
    """The folder at ``path``."""

    path: Path

    def manifest(self) -> Manifest:
        """The published state.

        Raises:
            StoreError: there is no store, or nothing was published; says what to do.
        """
        try:
            return decode((self.path / MANIFEST).read_text("utf-8"), Manifest, version=_FORMAT)
        except FileNotFoundError:
            raise StoreError(self._why_not()) from None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        except (ValueError, SchemaError) as error:
            raise StoreError(f"{self.path / MANIFEST} cannot be used: {error}") from error

    def _why_not(self) -> str:
        if not self.path.exists():
            return f"there is no graph store at {self.path}"
        if any(self.path.glob("[0-9]*.writing")):
            return (
                f"the graph store at {self.path} is half loaded: nothing was published. It is "
                "being loaded, or loading was interrupted: then load it again"
            )
        return f"{self.path} is no graph store: it has no {MANIFEST}"

    def stamp(self) -> tuple[int, int] | None:
        """What changes when something is published; None where nothing is."""
        try:
            found = (self.path / MANIFEST).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def file(self, generation: int) -> Path:
        """The database of a published generation."""
        return self.path / f"{generation:06d}.lbug"

    def index(self, generation: int, table: str, vector: str) -> Path:
        """The index of a vector in a published generation; its files' names begin so."""
        return self.path / f"{generation:06d}.{table}.{vector}"

    @contextmanager
    def locked(self) -> Generator[None]:
        """Be the one writer.

        Raises:
            StoreError: there is one, or the folder cannot be written to.
        """
        try:
            from filelock import FileLock, Timeout
        except ImportError as error:
            raise MissingExtra("store", "filelock") from error
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / _LOCK, timeout=0, is_singleton=False)
            lock.acquire()
        except Timeout:
            raise StoreError(
                f"the graph store at {self.path} is locked: another process writes to it. It can "
                "be read meanwhile; to write, wait for that process to end"
            ) from None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def begin(self, base: int | None) -> Path:
        """A file for a writer, beginning with generation ``base``, or to be made from nothing.

        What an interrupted writer has left is removed.
        """
        self.drop()
        path = self.path / f"{self._last() + 1:06d}.writing"
        if base is not None:
            shutil.copyfile(self.file(base), path)
        return path

    def drop(self) -> None:
        """Remove what a writer has not published, and the files its database keeps beside it."""
        last = self._last()
        for left in self.path.glob("*.writing*"):
            # A published index may be of a table or vector that is called so.
            generation = left.name.partition(".")[0]
            if not generation.isdecimal() or int(generation) > last:
                left.unlink()

    def publish(self, manifest: Manifest) -> None:
        """Make the finished files of a generation the published one.

        The generation before is kept for readers that are just opening it. Those that have an
        older one open keep it: its files have lost their names only.
        """
        name = f"{manifest.generation:06d}"
        draft = self.path / f"{name}.writing"
        for written in (*self.path.glob(f"{draft.name}.*"), draft):
            _to_disk(written)
            suffix = written.name.removeprefix(draft.name) or ".lbug"
            written.replace(self.path / f"{name}{suffix}")
        content = {"format": _FORMAT, **asdict(manifest)}
        draft = self.path / f"{MANIFEST}.writing"
        draft.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        _to_disk(draft)
        draft.replace(self.path / MANIFEST)
        _to_disk(self.path)
        for old in self._generations()[:-2]:
            for path in self.path.glob(f"{old.stem}.*"):
                path.unlink()

    def _generations(self) -> list[Path]:
        return sorted(self.path.glob("[0-9]*.lbug"))

    def _last(self) -> int:
        return max((int(path.stem) for path in self._generations()), default=0)


def _to_disk(path: Path) -> None:
    """Have what was written survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
