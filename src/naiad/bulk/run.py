"""A run: find unfinished work, process it, and merge the results, input by input."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from rich.text import Text

from naiad import __version__
from naiad.bulk.application import Json
from naiad.bulk.engine import Engine
from naiad.bulk.inputs import STATE, Chunk, Input, chunks_of, find_inputs, refuse_foreign
from naiad.bulk.journal import Done, Journal, read_record, sole_writer
from naiad.bulk.progress import Pace, shown
from naiad.bulk.report import write_failures
from naiad.bulk.servers import SHA256
from naiad.bulk.settings import Settings
from naiad.console import PlainConsole
from naiad.errors import InvalidInput, NaiadError


@dataclass(frozen=True, slots=True)
class Summary:
    """Outcome of a run.

    Attributes:
        inputs: number of inputs.
        before: number of those that were done before the run.
        written: number of items with a result, in all inputs.
        failed: number of items without one, in all inputs.
        unread: inputs that could not be opened, and the reason.
        rate: recent items per second.
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
    """An input that is not done: its number of items, and its missing chunks."""

    target: Input
    journal: Journal
    manifest: Json
    items: int
    missing: set[int] = field(default_factory=set[int])
    done: int = 0
    failed: int = 0

    def chunks(self) -> Iterator[Chunk]:
        """Yield all chunks."""
        return chunks_of(self.target, self.items, self.manifest["chunk"], self.target.output.suffix)


def run(settings: Settings, engine: Engine, console: PlainConsole) -> Summary:
    """Process unfinished inputs; show progress on ``console``.

    Raises:
        InvalidInput: inputs or results are not as they must be; nothing has been done.
        NaiadError: the run cannot continue. Finished work is kept, and the same call resumes.
    """
    targets = find_inputs(settings)
    state = settings.results / STATE
    with sole_writer(state):
        if settings.force:
            for target in targets:
                Journal(target).forget()
        refuse_foreign(targets)
        with console.status(Text(f"counting {settings.bulk.unit}")):
            finished, pending, unread = _look(settings, engine, targets)
        before = len(finished)
        pace = Pace(
            sum(p.items for p in pending) + sum(d.written + len(d.failures) for _, d in finished),
            sum(p.done for p in pending) + sum(d.written + len(d.failures) for _, d in finished),
            sum(p.failed for p in pending) + sum(len(d.failures) for _, d in finished),
        )
        by_path = {p.target.path: p for p in pending}
        try:
            with shown(pace, settings.bulk.unit, console) as advance:
                for waiting in pending:
                    if not waiting.missing:
                        finished.append((waiting.target, _finish(settings, engine, waiting)))
                for record in engine.run(settings.bulk, _missing(pending), advance):
                    waiting = by_path[record.chunk.path]
                    waiting.missing.discard(record.chunk.number)
                    if not waiting.missing:
                        finished.append((waiting.target, _finish(settings, engine, waiting)))
        except OSError as error:
            raise NaiadError(
                f"the results cannot be written: {error}; run the same command to resume"
            ) from error
        finally:
            order = {target.path: number for number, target in enumerate(targets)}
            finished.sort(key=lambda pair: order[pair[0].path])
            report = write_failures(settings.results, finished, unread)
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
    settings: Settings, engine: Engine, targets: list[Input]
) -> tuple[list[tuple[Input, Done]], list[_Pending], dict[Path, str]]:
    """Return finished inputs, unfinished ones, and those that cannot be opened."""
    finished: list[tuple[Input, Done]] = []
    pending: list[_Pending] = []
    unread: dict[Path, str] = {}
    for target in targets:
        journal = Journal(target)
        wanted = _manifest(settings, engine, target)
        begun = journal.manifest()
        if begun is not None:
            _refuse_another(target, begun, wanted)
            done = journal.done()
            if done is not None and (target.output.exists() or not done.written):
                journal.tidy()
                finished.append((target, done))
                continue
        try:
            source = settings.bulk.open(target.path)
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
        # A copy: the set shrinks as chunks are done.
        missing = frozenset(waiting.missing)
        yield from (chunk for chunk in waiting.chunks() if chunk.number in missing)


def _manifest(settings: Settings, engine: Engine, target: Input) -> Json:
    """Return the settings of an input's results, which must not change between runs."""
    return {
        "input": str(target.path),
        "fingerprint": settings.bulk.fingerprint(target.path),
        "application": settings.application,
        "options": settings.bulk.named_options(),
        SHA256: engine.metadata.get(SHA256, ""),
        "chunk": settings.chunk,
    }


def _refuse_another(target: Input, begun: Json, wanted: Json) -> None:
    """Refuse to resume an input with other settings.

    Raises:
        InvalidInput: names the setting. Only the size of chunks may differ: the first one holds.
    """
    for name, value in wanted.items():
        if name != "chunk" and begun.get(name) != value:
            raise InvalidInput(
                f"{target.output} was begun with {name} {begun.get(name)!r}; now it is {value!r}. "
                "Write elsewhere with -o, or start over with --force"
            )


def _finish(settings: Settings, engine: Engine, waiting: _Pending) -> Done:
    return waiting.journal.finish(
        settings.bulk, waiting.chunks(), _provenance(settings, engine, waiting)
    )


def _provenance(settings: Settings, engine: Engine, waiting: _Pending) -> Json:
    """Return the provenance of the results: everything that may influence them."""
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
