"""A folder of generations: one file per published state of an embedded database.

::

    store.json     the number of the published generation, and its schema
    000002.lbug    that generation; nobody writes to it
    000002.TABLE.VECTOR.*  approximate indexes of its vectors, if any
    000003.writing the copy that a writer is changing
    store.lock     held by the writer

An index belongs to one generation and is published with it, so it is never older than its vectors.

Ladybug 0.22 lets a process open a database read-only while another writes to it, but then fails in
some cases: during a checkpoint, or when the log is read half written (readers crash in its issues
666, 766 and 1007). So no file is read and written at the same time. A writer works on a copy; to
publish, it finishes the copy and replaces ``store.json``, which is atomic. A reader keeps the
complete state it opened for as long as it wants.
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
        table: the table of the nodes.
        vector: the name of the vector.
        number: number of nodes with the vector.
        trained: number of nodes with the vector when the index was built.
        changed: number of vectors set since then.
    """

    table: str
    vector: str
    number: int
    trained: int
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of ``store.json``.

    Attributes:
        generation: the number of the published state, from 1.
        engine: the database that wrote it, and its version.
        schema: the schema of the graph.
        approximate_from: number of nodes from which a vector gets an approximate index.
        indexes: the vectors that have one.
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
        """Read the manifest of the published state.

        Raises:
            StoreError: there is no store, nothing has been published, or the file is damaged.
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
            return f"no graph store at {self.path}"
        if any(self.path.glob("[0-9]*.writing")):
            return (
                f"the graph store at {self.path} is incomplete: nothing has been published. Wait "
                "for loading to finish; if it was interrupted, load the store again"
            )
        return f"{self.path} is not a graph store: it has no {MANIFEST}"

    def stamp(self) -> tuple[int, int] | None:
        """Return a value that changes with every publication; None if nothing is published."""
        try:
            found = (self.path / MANIFEST).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def file(self, generation: int) -> Path:
        """Return the path of a published generation's database."""
        return self.path / f"{generation:06d}.lbug"

    def index(self, generation: int, table: str, vector: str) -> Path:
        """Return the path that the files of a published vector index start with."""
        return self.path / f"{generation:06d}.{table}.{vector}"

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the writer's lock.

        Raises:
            StoreError: another process holds it, or the folder cannot be written to.
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
                f"the graph store at {self.path} is locked: another process is writing to it. "
                "Readers are not affected; to write, wait for that process to end"
            ) from None
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def begin(self, base: int | None) -> Path:
        """Return a writer's file: a copy of generation ``base``, or a path to create it at.

        Remains of an interrupted writer are removed.
        """
        self.drop()
        path = self.path / f"{self._last() + 1:06d}.writing"
        if base is not None:
            shutil.copyfile(self.file(base), path)
        return path

    def drop(self) -> None:
        """Remove unpublished files, including those the database keeps beside its own."""
        last = self._last()
        for left in self.path.glob("*.writing*"):
            # A published index may belong to a table or vector named "writing".
            generation = left.name.partition(".")[0]
            if not generation.isdecimal() or int(generation) > last:
                left.unlink()

    def publish(self, manifest: Manifest) -> None:
        """Publish the finished files of a generation.

        The previous generation stays for readers that are just opening it. Readers of an older
        one keep it: its files have only lost their names.
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
    """Flush a file to disk, so that it survives a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
