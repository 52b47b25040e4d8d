"""What is known of an input on disk: what it is done with, what is done, and what failed.

::

    results/a.h5                         the results, once all are there
    results/.naiad/a.h5/manifest.json    what the input is processed with
    results/.naiad/a.h5/parts/0000007.h5     results of a chunk of events
    results/.naiad/a.h5/parts/0000007.done   that the chunk is done, and what failed of it
    results/.naiad/a.h5/parts/0000007.tries  on Ray: how often it was begun
    results/.naiad/a.h5/done.json        that all is done, and what failed

Every file appears whole, under a name that means "done": a process may be killed at any moment. A
chunk whose record is missing is done again, and its part is replaced; so no item is in the results
twice, and none is left out. Several processes, on several machines, may write to one folder.
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
from naiad.bulk.job import Chunk, Input
from naiad.core.schema import Arrays
from naiad.errors import NaiadError, PipelineError
from naiad.typed_json import decode

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """An item without a result, by its number in the input and by its name, and why."""

    number: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """A chunk that is done."""

    chunk: Chunk
    written: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """An input that is done; ``written`` items have a result."""

    written: int
    failures: tuple[Failure, ...]


class Part:
    """The results of a chunk on their way to disk."""

    def __init__(self, bulk: Bulk, chunk: Chunk, metadata: dict[str, str]) -> None:
        """Begin with no results; ``metadata`` is that of the model."""
        self.chunk = chunk
        self._written = 0
        self._failures: list[Failure] = []
        chunk.folder.mkdir(parents=True, exist_ok=True)
        # A name of its own: a node that was taken for dead may still write the same chunk.
        self._draft = _draft(chunk.part)
        self._writer = bulk.writer(self._draft, metadata)

    def add(self, name: str, item: Any, outcome: Arrays | Exception) -> None:
        """Add the next item, with its outputs or the reason why it has none."""
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
        """How many of them have no result."""
        return len(self._failures)

    @property
    def next(self) -> int:
        """The number, in the input, of the item that is added next."""
        return self.chunk.first + self._written + len(self._failures)

    @property
    def complete(self) -> bool:
        """Whether all items of the chunk are there."""
        return self.next == self.chunk.stop

    def commit(self) -> Record:
        """Put the results in their place, then the record that says so."""
        self._writer.close()
        if self._written:
            _sync(self._draft)
            self._draft.replace(self.chunk.part)
        record = Record(self.chunk, self._written, tuple(self._failures))
        done = asdict(Done(record.written, record.failures))
        write_json(self.chunk.record, {"first": self.chunk.first, "stop": self.chunk.stop, **done})
        return record

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(Exception):
            self._writer.close()
        self._draft.unlink(missing_ok=True)


@contextlib.contextmanager
def sole_writer(state: Path) -> Generator[None]:
    """Keep a second run away from a folder of results; the lock ends with the process.

    Raises:
        NaiadError: another run has it.
    """
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NaiadError(
                f"another run is writing to {state.parent}; wait for its end"
            ) from None
        yield


class Journal:
    """One input's records."""

    def __init__(self, target: Input) -> None:
        """Look nowhere yet."""
        self.target = target
        self._manifest = target.state / "manifest.json"
        self._done = target.state / "done.json"

    def manifest(self) -> Json | None:
        """What the input was begun with, or None."""
        return read_json(self._manifest, dict[str, Any])

    def begin(self, manifest: Json) -> None:
        """Write down what the input is processed with."""
        write_json(self._manifest, manifest)

    def forget(self) -> None:
        """Begin anew: neither records nor results stay."""
        shutil.rmtree(self.target.state, ignore_errors=True)
        self.target.output.unlink(missing_ok=True)

    def done(self) -> Done | None:
        """What became of the input, if it is done."""
        return read_json(self._done, Done)

    def finish(self, bulk: Bulk, chunks: Iterable[Chunk], provenance: Json) -> Done:
        """Make one file of all parts, say that it is there, and remove the parts."""
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
        """Remove the parts of an input that is done, and what a killed run left half-written."""
        shutil.rmtree(self.target.state / "parts", ignore_errors=True)
        for draft in self.target.state.glob(".*"):
            draft.unlink(missing_ok=True)

    def _recorded(self, chunk: Chunk) -> Record:
        record = read_record(chunk)
        if record is None:
            raise NaiadError(
                f"{chunk.record} is gone, or cannot be seen from here; if other machines write to "
                f"{self.target.state}, it must be the same folder for all of them"
            )
        return record


def read_record(chunk: Chunk) -> Record | None:
    """What became of a chunk, if it is done."""
    done = read_json(chunk.record, Done)
    return None if done is None else Record(chunk, done.written, done.failures)


def write_json(path: Path, content: Json) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        draft.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        _sync(draft)
        draft.replace(path)
    finally:  # a run may be stopped here
        draft.unlink(missing_ok=True)


def read_json(path: Path, kind: type[T]) -> T | None:
    """Read a file of :func:`write_json`; None where there is none.

    Raises:
        NaiadError: it is damaged.
    """
    try:
        return decode(path.read_text("utf-8"), kind)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NaiadError(f"{path} is damaged ({error}); --force begins anew") from None


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")


def _sync(path: Path) -> None:
    """Have the content on disk before the name that stands for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
