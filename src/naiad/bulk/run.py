"""A run: what is left to do is found out, done, and put together, input by input."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console

from naiad import __version__
from naiad.bulk.application import Json
from naiad.bulk.engine import Engine
from naiad.bulk.job import STATE, Chunk, Input, Job, chunks_of, find_inputs, refuse_foreign
from naiad.bulk.journal import Done, Journal, read_record, sole_writer
from naiad.bulk.progress import Pace, shown
from naiad.bulk.report import write_failures
from naiad.bulk.servers import SHA256
from naiad.errors import InvalidInput, NaiadError


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run has done.

    Attributes:
        inputs: how many there are.
        before: how many of them were done before the run.
        written: items with a result, in all of them.
        failed: items without, in all of them.
        unread: inputs that could not be opened, and why.
        rate: items per second of this run, of late.
        report: the table of failures, if there are any.
    """

    inputs: int
    before: int
    written: int
    failed: int
    unread: dict[Path, str]
    rate: float
    report: Path | None


@dataclass(slots=True)
class _Pending:
    """An input that is not done: how much of it there is, and which chunks are missing."""

    target: Input
    journal: Journal
    manifest: Json
    items: int
    missing: set[int] = field(default_factory=set[int])
    done: int = 0
    failed: int = 0

    def chunks(self) -> Iterator[Chunk]:
        """All chunks."""
        return chunks_of(self.target, self.items, self.manifest["chunk"], self.target.output.suffix)


def run(job: Job, engine: Engine, console: Console) -> Summary:
    """Do what is left of a job; ``console`` shows how far it is.

    Raises:
        InvalidInput: inputs or results are not as they must be; nothing has been done.
        NaiadError: the run cannot go on. What is done stays done, and the same call goes on there.
    """
    targets = find_inputs(job)
    state = job.results / STATE
    with sole_writer(state):
        if job.force:
            for target in targets:
                Journal(target).forget()
        refuse_foreign(targets)
        with console.status(f"counting {job.bulk.unit}"):
            finished, pending, unread = _look(job, engine, targets)
        before = len(finished)
        pace = Pace(
            sum(p.items for p in pending) + sum(d.written + len(d.failures) for _, d in finished),
            sum(p.done for p in pending) + sum(d.written + len(d.failures) for _, d in finished),
            sum(p.failed for p in pending) + sum(len(d.failures) for _, d in finished),
        )
        by_path = {p.target.path: p for p in pending}
        try:
            with shown(pace, job.bulk.unit, console) as advance:
                for waiting in pending:
                    if not waiting.missing:
                        finished.append((waiting.target, _finish(job, engine, waiting)))
                for record in engine.run(job.bulk, _missing(pending), advance):
                    waiting = by_path[record.chunk.path]
                    waiting.missing.discard(record.chunk.number)
                    if not waiting.missing:
                        finished.append((waiting.target, _finish(job, engine, waiting)))
        except OSError as error:
            raise NaiadError(
                f"the results cannot be written: {error}; the same command goes on from here"
            ) from error
        finally:
            order = {target.path: number for number, target in enumerate(targets)}
            finished.sort(key=lambda pair: order[pair[0].path])
            report = write_failures(job.results, finished, unread)
    return Summary(
        inputs=len(targets),
        before=before,
        written=sum(done.written for _, done in finished),
        failed=sum(len(done.failures) for _, done in finished),
        unread=unread,
        rate=pace.rate,
        report=report,
    )


def _look(
    job: Job, engine: Engine, targets: list[Input]
) -> tuple[list[tuple[Input, Done]], list[_Pending], dict[Path, str]]:
    """What is done of each input."""
    finished: list[tuple[Input, Done]] = []
    pending: list[_Pending] = []
    unread: dict[Path, str] = {}
    for target in targets:
        journal = Journal(target)
        wanted = _manifest(job, engine, target)
        begun = journal.manifest()
        if begun is not None:
            _refuse_another(target, begun, wanted)
            done = journal.done()
            if done is not None and (target.output.exists() or not done.written):
                journal.tidy()
                finished.append((target, done))
                continue
        try:
            source = job.bulk.open(target.path)
        except NaiadError as error:
            unread[target.path] = str(error)
            continue
        try:
            items = len(source)
        finally:
            source.close()
        if begun is None:
            journal.begin(wanted)
        waiting = _Pending(target, journal, begun or wanted, items)
        for chunk in waiting.chunks():
            record = read_record(chunk)
            if record is None:
                waiting.missing.add(chunk.number)
            else:
                waiting.done += chunk.stop - chunk.first
                waiting.failed += len(record.failures)
        pending.append(waiting)
    return finished, pending, unread


def _missing(pending: list[_Pending]) -> Iterator[Chunk]:
    for waiting in pending:
        # A copy: it shrinks as chunks come back.
        missing = frozenset(waiting.missing)
        yield from (chunk for chunk in waiting.chunks() if chunk.number in missing)


def _manifest(job: Job, engine: Engine, target: Input) -> Json:
    """What an input is processed with: results of other things do not belong into one file."""
    return {
        "input": str(target.path),
        "fingerprint": job.bulk.fingerprint(target.path),
        "application": job.application,
        "options": job.bulk.named_options(),
        SHA256: engine.metadata.get(SHA256, ""),
        "chunk": job.chunk,
    }


def _refuse_another(target: Input, begun: Json, wanted: Json) -> None:
    """Refuse to go on with something else than the input was begun with.

    Raises:
        InvalidInput: names it. Only the size of chunks may differ: the first one stays.
    """
    for name, value in wanted.items():
        if name != "chunk" and begun.get(name) != value:
            raise InvalidInput(
                f"{target.output} was begun with {name} {begun.get(name)!r}; now it is {value!r}. "
                "Write elsewhere with -o, or begin anew with --force"
            )


def _finish(job: Job, engine: Engine, waiting: _Pending) -> Done:
    return waiting.journal.finish(job.bulk, waiting.chunks(), _provenance(job, engine, waiting))


def _provenance(job: Job, engine: Engine, waiting: _Pending) -> Json:
    """Where the results are from: everything that may have a say in them."""
    return {
        "naiad": __version__,
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **{name: value for name, value in waiting.manifest.items() if name != "chunk"},
        "items": waiting.items,
        "notice": engine.metadata.get("notice", ""),
        **engine.about(),
        "python": platform.python_version(),
        "host": platform.node(),
    }
