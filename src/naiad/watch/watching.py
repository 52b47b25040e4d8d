"""The work of a watch: find studies, ask the model about each once, send the results back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from naiad.backoff import Backoff
from naiad.dicom.findings import KINDS, Kind
from naiad.dicom.rules import Rules
from naiad.dicom.sink import Reference, Sink
from naiad.dicom.source import Fetched, Query, Source, Study
from naiad.errors import DeadlineExceeded, InvalidInput, NaiadError
from naiad.tasks.studies import Outcome, StudyCall
from naiad.watch.journal import Entry, Journal
from naiad.watch.outbox import Outbox
from naiad.watch.settings import WatchSettings

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from naiad.dicom.deidentified import Privacy

Place: TypeAlias = Literal["source", "model", "sink", "disk"]
Say: TypeAlias = Callable[[str, bool], None]
"""Prints a line; with True, one about a failure."""

_STUDY: Final = Backoff(60.0, 3600.0, jitter=5.0)
_LONGEST: Final = 600.0  # seconds between tries of a place that is down
_DAY: Final = timedelta(days=1)


@dataclass(slots=True)
class _Failure(Exception):
    """An error of a study, and the place it came from."""

    place: Place
    error: Exception
    is_own: bool = False
    """The study's fault, whatever the place."""


class Watch:
    """A watch of one archive by one model.

    Each study is worked on by itself: its error is noted in the journal and stops no other. An
    error counts as a try only if the place that raised it has served another study since the
    study's last failure. Otherwise the place may be down for all: no study fails because of it, and
    one at a time is tried again until it serves.
    """

    def __init__(
        self,
        source: Source,
        model: Callable[[], StudyCall],
        sink: Sink,
        journal: Journal,
        settings: WatchSettings,
        *,
        rules: Rules,
        queries: Sequence[Query] = (Query(),),
        kinds: Sequence[Kind] = KINDS,
        privacy: Privacy | None = None,
        images: bool = False,
        say: Say = lambda text, failed: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Watch ``source`` for studies, ask ``model``, and send to ``sink``.

        Args:
            source: of the studies.
            model: opens the model for a study, as its version may change during a watch.
            sink: for the results.
            journal: of this watch.
            settings: how often and how patiently.
            rules: which series are taken.
            queries: for the studies.
            kinds: of results that are sent.
            privacy: de-identifies images and results.
            images: send the de-identified images, too.
            say: prints.
            clock: the UNIX time.
        """
        self.source = source  # the journal has the studies' original UIDs
        self._fetched_from = source if privacy is None else privacy.source(source)
        self.sink = sink if privacy is None else privacy.sink(sink)
        self.model, self.journal, self.settings = model, journal, settings
        self.rules, self.queries, self.kinds = rules, queries, kinds
        self._images = images and privacy is not None
        self._privacy, self._say, self._clock = privacy, say, clock
        self._outbox = Outbox(journal.path)
        self.on_round: Callable[[], None] = lambda: None
        """Called after each round."""
        self._served: dict[Place, float] = {}  # time of the last success
        self._unseen = 0  # looks in a row that failed
        self._troubles = 0  # failures in a row that no study was to blame for

    def run(self, stop: Event) -> bool:
        """Watch until ``stop`` is set, or once; return whether no study and no place failed.

        A study that was begun is finished first.
        """
        self._outbox.tidy(self.journal.kept())
        self.journal.note("started")
        if self.settings.retry_failed and (again := self.journal.retry_failed()):
            self._say(f"trying {again:,} failed studies again", False)
        whole = True
        while not stop.is_set():
            whole = self.round(stop) and whole
            self.on_round()
            if self.settings.once:
                break
            stop.wait(self._pause())
        self.journal.note("ended")
        return whole

    def round(self, stop: Event) -> bool:
        """Look once, and work on the studies that are complete; return whether nothing failed."""
        whole = True
        try:
            self.look()
            self._unseen = 0
        except NaiadError as error:
            self._unseen += 1
            self._say(f"{error}; the next look is in {self._pause():.0f} s", True)
            whole = False  # results may wait for another archive
        while not stop.is_set() and (entry := self.journal.next(self.settings.settle)) is not None:
            try:
                whole = self.work(entry) and whole
            except _Failure as failure:  # noqa: PERF203 - one study of any number
                whole = False
                if not self._postpone(entry, failure):
                    break
        return whole

    def look(self) -> None:
        """Note the studies that the archive lists.

        Raises:
            NaiadError: as of `naiad.dicom.source.Source.studies`.
        """
        found: dict[str, Study] = {}
        for query in self.queries:
            query = replace(query, dates=query.dates or self._dates())
            found |= {study.uid: study for study in self.source.studies(query)}
        self.journal.saw([*found.values()], self._named)

    def work(self, entry: Entry) -> bool:
        """Ask about a study unless that is done, and send its results; return whether it is sent.

        Raises:
            _Failure: it may be tried again.
        """
        if entry.tries >= self.settings.tries:
            reason = f"the watch ended {entry.tries:,} times while it worked on the study"
            return self._fail(entry, reason, "Ended")
        self.journal.begin(entry.uid)
        if entry.state in ("found", "fetched") and not self._answer(entry):
            return self.journal.state(entry.uid) == "left out"
        self._send(entry)
        return True

    def _answer(self, entry: Entry) -> bool:
        """Put the results of a study into the outbox; return whether there are any."""
        study = Study(entry.uid, instances=entry.instances)
        began = time.perf_counter()
        folder = self._outbox.empty_images()
        fetched: Fetched = self._at(
            "source", lambda: self._fetched_from.fetch(study, folder, self.rules)
        )
        if not fetched.series:
            reasons = "; ".join(map(str, fetched.left_out)) or "it has no series"
            self.journal.left_out(entry.uid, reasons)
            return False
        images = [path for one in fetched.series for path in one.files()]
        self.journal.fetched(entry.uid, images=len(images), seconds=_since(began))
        began = time.perf_counter()
        call: StudyCall = self._at("model", self.model)
        outcomes: list[Outcome] = self._at("model", lambda: _outcomes(call, fetched))
        asked = _since(began)
        began = time.perf_counter()
        results: list[Dataset] = []
        errors: list[str] = []
        for one in outcomes:
            try:
                results += self._results(call, fetched.study, one)
            except InvalidInput as error:  # the scan is refused, now and ever  # noqa: PERF203
                errors.append(f"{one.name}: {error}")
        if not results:
            return self._fail(entry, "; ".join(errors), InvalidInput.__name__)
        kept = images if self._images else []
        instances = self._at("disk", lambda: self._outbox.put(entry.uid, results, kept))
        self._outbox.empty_images()
        self.journal.answered(
            entry.uid,
            instances,
            "; ".join(errors),
            scans=len(outcomes) - len(errors),
            refused=len(errors),
            asked_seconds=asked,
            written_seconds=_since(began),
            task=call.task.name,
            model=call.algorithm.name,
            version=call.algorithm.version,
        )
        return True

    def _results(self, call: StudyCall, study: Study, outcome: Outcome) -> list[Dataset]:
        """Return the instances of an outcome; their UIDs follow from study, model and version.

        Raises:
            InvalidInput: the scan is refused, by the model or as the ground of DICOM's results.
        """
        from naiad.dicom.results import uids

        if outcome.error is not None:
            raise outcome.error
        about, series = call.algorithm, outcome.series.about.uid
        run = "\n".join((call.task.name, about.name, about.version, study.uid))
        own = uids(series, run=run, scan=outcome.scan)
        previous: list[Reference] = []
        if "sr" in self.kinds:
            previous = self._at("sink", lambda: self.sink.reports(study.uid, series))
        previous = [report for report in previous if report.instance not in own]
        return call.instances(outcome, run=run, kinds=self.kinds, previous=previous)

    def _send(self, entry: Entry) -> None:
        began = time.perf_counter()
        waiting = self.journal.sending(entry.uid)
        for one in waiting:
            if not one.is_stored:
                instance = self._at("disk", partial(self._outbox.read, entry.uid, one.file))
                self._at("sink", partial(self.sink.send, [instance]))
                self.journal.stored(entry.uid, one.number)
        self.journal.sent(entry.uid, instances=len(waiting), seconds=_since(began), outcome="ok")
        self._outbox.remove(entry.uid)
        self._say(f"sent {len(waiting):,} instances of study {entry.named}", False)

    def _at(self, place: Place, ask: Callable[[], Any]) -> Any:
        """Return what a place answers; remember that it did.

        Raises:
            _Failure: with its error.
        """
        try:
            found = ask()
        except NaiadError as error:
            raise _Failure(place, error, isinstance(error, DeadlineExceeded)) from error
        except Exception as error:  # of a library: it must not stop the other studies
            raise _Failure(place, error, is_own=True) from error
        self._served[place] = self._clock()
        self._troubles = 0
        return found

    def _postpone(self, entry: Entry, failure: _Failure) -> bool:
        """Note a failure; return whether it is the study's own, and the others go on."""
        error, kind = failure.error, type(failure.error).__name__
        reason = str(error) if isinstance(error, NaiadError) else f"{kind}: {error}"
        own = failure.is_own or self._served.get(failure.place, 0.0) > entry.trouble > 0
        tries = entry.tries + 1
        if own and tries >= self.settings.tries:
            self._fail(entry, reason, kind)
            return True
        self._troubles += not own
        wait = _STUDY.wait(tries) if own else self._backoff().wait(self._troubles)
        self.journal.postpone(entry.uid, reason, self._clock() + wait, counted=own, outcome=kind)
        self._say(f"study {entry.named}: {reason}; it is tried again in {wait:.0f} s", True)
        return own

    def _fail(self, entry: Entry, reason: str, kind: str) -> Literal[False]:
        self.journal.failed(entry.uid, reason, kind)
        self._say(f"study {entry.named} failed: {reason}", True)
        return False

    def _pause(self) -> float:
        """Return the seconds until the next look."""
        return self._backoff().wait(self._unseen) or self.settings.every

    def _backoff(self) -> Backoff:
        return Backoff(self.settings.every, max(_LONGEST, self.settings.every))

    def _dates(self) -> str | None:
        """Return the range of StudyDate to look at, in this machine's time zone."""
        if not self.settings.days:
            return None
        last = min(self._clock(), self.journal.looked)
        return f"{datetime.fromtimestamp(last) - self.settings.days * _DAY:%Y%m%d}-"

    def _named(self, uid: str) -> str:
        return uid if self._privacy is None else self._privacy.pseudonyms.uid(uid, "study")


def _outcomes(call: StudyCall, fetched: Fetched) -> list[Outcome]:
    """Return the outcomes of all scans.

    Raises:
        NaiadError: the model may answer later.
    """
    outcomes = [*call.answer(fetched)]
    for one in outcomes:
        if one.error is not None and not isinstance(one.error, InvalidInput):
            raise one.error
    return outcomes


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)
