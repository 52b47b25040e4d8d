"""Journal of an input on disk: its settings, the chunks that are done, and failures.

::

    results/a.h5                         the results, once all are there
    results/.naiad/a.h5/manifest.json    settings that the input is processed with
    results/.naiad/a.h5/parts/0000007.h5     results of a chunk of events
    results/.naiad/a.h5/parts/0000007.done   that the chunk is done, and its failures
    results/.naiad/a.h5/parts/0000007.tries  on Ray: attempts at it
    results/.naiad/a.h5/done.json        that all is done, and failures

Files are written atomically, since a process may be killed at any moment. A chunk without a record
is processed again, and its part is replaced; so no item is in the results twice, and none is
missing. Several processes, on several machines, may write to one folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from naiad.bulk.application import Bulk, Json
from naiad.bulk.inputs import Chunk, Input
from naiad.core.schema import Arrays
from naiad.errors import NaiadError, PipelineError
from naiad.typed_json import decode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """An item without a result: its number in the input, its name, and the reason."""

    number: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """A chunk that is done; ``written`` items have a result."""

    chunk: Chunk
    written: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """An input that is done; ``written`` items have a result."""

    written: int
    failures: tuple[Failure, ...]


class Part:
    """Results of a chunk that are being written."""

    def __init__(self, bulk: Bulk, chunk: Chunk, metadata: dict[str, str]) -> None:
        """Begin without results; ``metadata`` is that of the model."""
        self.chunk = chunk
        self._written = 0
        self._failures: list[Failure] = []
        chunk.folder.mkdir(parents=True, exist_ok=True)
        # A unique name: a node that was taken for dead may still be writing the same chunk.
        self._draft = _draft(chunk.part)
        self._writer = bulk.writer(self._draft, metadata)

    def add(self, name: str, item: Any, outcome: Arrays | Exception) -> None:
        """Add the next item, with its outputs or the error it failed with."""
        reason = outcome if isinstance(outcome, Exception) else None
        if not isinstance(outcome, Exception):
            try:
                self._writer.add(name, item, outcome)
            except PipelineError as error:
                reason = error
        if reason is None:
            self._written += 1
        else:
            self._failures.append(Failure(self.next, name, str(reason)))

    @property
    def failed(self) -> int:
        """Number of items without a result."""
        return len(self._failures)

    @property
    def next(self) -> int:
        """The number in the input of the next item."""
        return self.chunk.first + self._written + len(self._failures)

    @property
    def complete(self) -> bool:
        """Whether all items of the chunk have been added."""
        return self.next == self.chunk.stop

    def commit(self) -> Record:
        """Move the results into place, then write the record."""
        self._writer.close()
        if self._written:
            _sync(self._draft)
            self._draft.replace(self.chunk.part)
        record = Record(self.chunk, self._written, tuple(self._failures))
        done = asdict(Done(record.written, record.failures))
        write_json(self.chunk.record, {"first": self.chunk.first, "stop": self.chunk.stop, **done})
        return record

    def discard(self) -> None:
        """Remove the draft."""
        with contextlib.suppress(Exception):
            self._writer.close()
        self._draft.unlink(missing_ok=True)


@contextlib.contextmanager
def sole_writer(state: Path) -> Generator[None]:
    """Lock a folder of results against a second run; the lock ends with the process.

    Raises:
        NaiadError: another run holds the lock.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NaiadError(
                f"another run is writing to {state.parent}; wait until it ends"
            ) from None
        yield


class Journal:
    """The journal of one input."""

    def __init__(self, target: Input) -> None:
        """Read nothing yet."""
        self.target = target
        self._manifest = target.state / "manifest.json"
        self._done = target.state / "done.json"

    def manifest(self) -> Json | None:
        """Return the settings the input was begun with, or None."""
        return read_json(self._manifest, dict[str, Any])

    def begin(self, manifest: Json) -> None:
        """Write the settings the input is processed with."""
        write_json(self._manifest, manifest)

    def forget(self) -> None:
        """Remove records and results."""
        shutil.rmtree(self.target.state, ignore_errors=True)
        self.target.output.unlink(missing_ok=True)

    def done(self) -> Done | None:
        """Return the outcome of the input, if it is done."""
        return read_json(self._done, Done)

    def finish(self, bulk: Bulk, chunks: Iterable[Chunk], provenance: Json) -> Done:
        """Merge all parts into one file, record that it is done, and remove the parts."""
        records = [self._recorded(chunk) for chunk in chunks]
        done = Done(
            sum(record.written for record in records),
            tuple(failure for record in records for failure in record.failures),
        )
        parts = [record.chunk.part for record in records if record.written]
        if parts:
            output = self.target.output
            output.parent.mkdir(parents=True, exist_ok=True)
            draft = _draft(self.target.state / output.name)
            try:
                bulk.merge(
                    parts,
                    draft,
                    {**provenance, "written": done.written, "failed": len(done.failures)},
                )
                _sync(draft)
                draft.replace(output)
            finally:
                draft.unlink(missing_ok=True)
        write_json(self._done, asdict(done))
        self.tidy()
        return done

    def tidy(self) -> None:
        """Remove the parts of an input that is done, and drafts of killed runs."""
        shutil.rmtree(self.target.state / "parts", ignore_errors=True)
        for draft in self.target.state.glob(".*"):
            draft.unlink(missing_ok=True)

    def _recorded(self, chunk: Chunk) -> Record:
        record = read_record(chunk)
        if record is None:
            raise NaiadError(
                f"{chunk.record} was removed, or is not visible here; if other machines write to "
                f"{self.target.state}, it must be the same folder on all of them"
            )
        return record


def read_record(chunk: Chunk) -> Record | None:
    """Return the record of a chunk, if it is done."""
    done = read_json(chunk.record, Done)
    return None if done is None else Record(chunk, done.written, done.failures)


def write_json(path: Path, content: Json) -> None:
    """Write a JSON file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        draft.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        _sync(draft)
        draft.replace(path)
    finally:  # the run may be interrupted
        draft.unlink(missing_ok=True)


def read_json(path: Path, kind: type[T]) -> T | None:
    """Read a file of :func:`write_json`; return None if it does not exist.

    Raises:
        NaiadError: it is damaged.
    """
    try:
        return decode(path.read_text("utf-8"), kind)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NaiadError(f"{path} is damaged ({error}); --force starts over") from None


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")


def _sync(path: Path) -> None:
    """Flush the content to disk, before the file is renamed."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
