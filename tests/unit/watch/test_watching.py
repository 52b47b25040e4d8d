"""Each study is answered once; the error of one stops no other; a place that is down loses none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pydicom
import pytest
from tests.unit.dicom.series import BLOCK, SHAPE, slices, write
from tests.unit.watch.test_journal import Clock

from naiad.dicom.deidentified import Privacy
from naiad.dicom.findings import Algorithm, Findings, Segment
from naiad.dicom.folder import Folder, FolderSink
from naiad.dicom.pseudonyms import Pseudonyms
from naiad.dicom.rules import Rules
from naiad.dicom.source import Fetched, Query, SeriesFolder, Study
from naiad.errors import InvalidInput, NaiadError, PipelineError, Unavailable
from naiad.tasks.studies import Outcome, StudyResults
from naiad.watch.audit_log import AuditLog
from naiad.watch.journal import Journal
from naiad.watch.settings import WatchSettings
from naiad.watch.watching import Watch

STUDIES = ("a", "b", "c")


class Source(Folder):
    """Studies in a folder, with the errors of an archive."""

    error: NaiadError | None = None  # of all requests
    errors: dict[str, Exception]  # of fetching a study, by its UID
    more = 0  # instances than there are

    def studies(self, query: Query) -> Iterator[Study]:
        self.query = query
        if self.error is not None:
            raise self.error
        for study in super().studies(query):
            yield replace(study, instances=study.instances + self.more)

    def fetch(self, study: Study, folder: Path, rules: Rules) -> Fetched:
        if error := self.error or self.errors.get(study.uid):
            raise error
        return super().fetch(study, folder, rules)


class Sink(FolderSink):
    """A folder, with the errors of an archive; it remembers what was stored."""

    error: NaiadError | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.stored: list[str] = []
        self.errors: dict[str, Exception] = {}

    def send(self, instances: Any) -> None:
        if error := self.error or self.errors.get(str(instances[0].Modality)):
            raise error
        for one in instances:
            assert not self.has(one.StudyInstanceUID, one.SOPInstanceUID)
            super().send([one])
            self.stored.append(str(one.SOPInstanceUID))


class Model(StudyResults):
    """Finds the block of each phantom."""

    def __init__(self) -> None:
        super().__init__(None, {}, Algorithm("finder", "3"))
        self.errors: dict[str, NaiadError] = {}
        self.asked = 0
        self.segments = False  # which take longer
        self.task = type("Finder", (), {"name": "finder"})()

    def answer(self, fetched: Fetched) -> Iterator[Outcome]:
        self.asked += 1
        for one in fetched.series:
            found = segmented(one) if self.segments else Findings(verdict="fine")
            error = self.errors.get(fetched.study.uid) or self.errors.get(one.about.uid)
            name = f"{fetched.study.uid}/{one.about.uid}"
            yield Outcome(name, one, findings=None if error else found, error=error)


def segmented(series: SeriesFolder) -> Findings:
    """Return the block of a phantom as a segment."""
    images = sorted(map(pydicom.dcmread, series.files()), key=lambda image: image.InstanceNumber)
    voxels = np.zeros(SHAPE, np.uint8)
    voxels[BLOCK] = 1
    first, second = (image.ImagePositionPatient for image in images[:2])
    row, column = map(float, images[0].PixelSpacing)
    affine = np.diag([-column, -row, float(second[2]) - float(first[2]), 1.0])
    affine[:3, 3] = [-float(first[0]), -float(first[1]), float(first[2])]
    return Findings((Segment(1, "block", ml=1.0),), (voxels,), affine)


class Site:
    """Everything that a watch needs, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        for number, study in enumerate(STUDIES):
            write(slices(study=study), folder / "archive" / f"{number}")
        self.source = Source(folder / "archive")
        self.source.errors = {}
        self.sink, self.model = Sink(folder / "sent"), Model()
        self.uids = [study.uid for study in Folder.studies(self.source, Query())]
        self.said: list[str] = []
        self.settings = WatchSettings(journal=folder / "watch.db", settle=0, days=0, once=True)
        self.options: dict[str, Any] = {}

    def run(self, **changes: Any) -> bool:
        """Run a watch, as a process of its own would."""
        settings = replace(self.settings, **changes)
        journal = self.journal()
        try:
            return Watch(
                self.source,
                lambda: self.model,  # pyright: ignore[reportArgumentType]
                self.sink,
                journal,
                settings,
                rules=Rules(),
                say=lambda text, failed: self.said.append(text),
                clock=self.clock,
                **self.options,
            ).run(Event())
        finally:
            journal.close()
            self.clock.now += 4000  # beyond any wait

    def journal(self) -> Journal:
        audit = AuditLog(self.settings.audit_file)
        return Journal(self.settings.journal, audit, {}, clock=self.clock)

    def states(self) -> dict[str, str]:
        journal = self.journal()
        found = {one.uid: one.state for one in journal.entries()}
        journal.close()
        return found

    def reason(self, uid: str) -> str:
        journal = self.journal()
        (found,) = (one.reason for one in journal.entries() if one.uid == uid)
        journal.close()
        return found

    def audit(self) -> str:
        return self.settings.audit_file.read_text()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_each_study_is_answered_once_across_runs(site: Site) -> None:
    assert site.run()
    assert len(site.sink.stored) == len(set(site.sink.stored)) == len(STUDIES)
    assert site.run()
    assert site.run()
    assert site.model.asked == len(STUDIES)
    assert len(site.sink.stored) == len(STUDIES)
    assert set(site.states().values()) == {"sent"}
    assert not list((site.folder / "watch.db.files").rglob("*.dcm"))


def test_the_audit_log_has_no_name_and_no_text_of_an_error(site: Site) -> None:
    site.model.errors[site.uids[0]] = InvalidInput("the scan of Phantom^One is too small")
    site.run()
    lines = [json.loads(line) for line in site.audit().splitlines()]
    assert "Phantom" not in site.audit()
    assert "too small" not in site.audit()
    by_event = {one["event"]: one for one in lines}
    assert by_event["failed"]["outcome"] == "InvalidInput"
    assert by_event["failed"]["study"] == site.uids[0]
    assert by_event["sent"]["outcome"] == "ok"
    assert by_event["answered"].keys() >= {"model", "version", "asked_seconds", "user", "time"}
    assert (by_event["answered"]["task"], by_event["answered"]["version"]) == ("finder", "3")


def test_a_lost_journal_sends_nothing_twice(site: Site) -> None:
    site.run()
    for path in site.folder.glob("watch.db*"):
        if path.is_file():
            path.unlink()
    send = site.sink.send
    site.sink.send = lambda instances: None if here(site, instances[0]) else send(instances)
    assert site.run()
    assert len(site.sink.stored) == len(STUDIES)


def here(site: Site, one: Any) -> bool:
    return site.sink.has(one.StudyInstanceUID, one.SOPInstanceUID)


@pytest.mark.parametrize("error", [Unavailable("answers 503"), InvalidInput("answers HTML")])
@pytest.mark.parametrize("place", ["source", "sink"])
def test_a_place_that_is_down_loses_no_study(site: Site, place: str, error: NaiadError) -> None:
    getattr(site, place).error = error
    for _ in range(8):  # more than a study has tries
        assert not site.run()
    assert str(error) in site.said[-1]
    assert "failed" not in site.states().values()
    getattr(site, place).error = None
    while not site.run():
        assert site.clock.now < Clock.now + 4000 * 20
    assert set(site.states().values()) == {"sent"}
    assert len(site.sink.stored) == len(set(site.sink.stored)) == len(STUDIES)
    assert site.model.asked <= len(STUDIES)  # results waited in the outbox


@pytest.mark.parametrize("error", [Unavailable("answers 500"), KeyError("x")])
def test_a_poisoned_study_fails_after_some_tries_and_stops_no_other(
    site: Site, error: Exception
) -> None:
    bad, *good = site.uids
    site.source.errors[bad] = error
    site.settings = replace(site.settings, tries=2)
    for _ in range(4):
        site.run()
        write(
            slices(study=f"later {site.clock.now}"), site.folder / "archive" / f"{site.clock.now}"
        )
        errors, site.source = site.source.errors, Source(site.folder / "archive")
        site.source.errors = errors
    assert site.states()[bad] == "failed"
    assert all(site.states()[uid] == "sent" for uid in good)
    assert str(error) in site.reason(bad)
    del site.source.errors[bad]
    site.run()
    assert site.states()[bad] == "failed"
    assert site.run(retry_failed=True)
    assert site.states()[bad] == "sent"


def test_a_study_that_kills_the_process_fails_after_some_tries(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(fetched: Fetched) -> Iterator[Outcome]:
        raise KeyboardInterrupt

    monkeypatch.setattr(site.model, "answer", killed)
    for _ in range(3 * site.settings.tries):
        with pytest.raises(KeyboardInterrupt):
            site.run()
    assert not site.run()
    assert set(site.states().values()) == {"failed"}
    assert site.reason(site.uids[0]) == "the watch ended 5 times while it worked on the study"


def test_a_refusal_of_the_model_is_final_and_others_are_sent(site: Site) -> None:
    site.model.errors[site.uids[1]] = InvalidInput("it is tilted")
    assert not site.run()
    assert [site.states()[uid] for uid in site.uids] == ["sent", "failed", "sent"]
    assert site.reason(site.uids[1]).endswith("it is tilted")
    assert site.run()


def test_an_error_of_the_model_is_tried_again(site: Site) -> None:
    site.model.errors[site.uids[1]] = PipelineError("out of memory")
    assert not site.run()
    del site.model.errors[site.uids[1]]
    while not site.run():
        assert site.clock.now < Clock.now + 40_000
    assert set(site.states().values()) == {"sent"}


def test_a_result_that_the_archive_refuses_waits_with_the_same_bytes(site: Site) -> None:
    site.model.segments = True
    site.sink.errors["SR"] = InvalidInput("refused, with failure reason 0xA900")
    assert not site.run()
    assert len(site.sink.stored) == 1  # the segmentation of the first
    (folder, *_) = sorted((site.folder / "watch.db.files" / "results").iterdir())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert not site.run()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    site.sink.errors.clear()
    while not site.run():
        pass
    assert len(site.sink.stored) == len(set(site.sink.stored)) == 2 * len(STUDIES)


def test_a_study_that_is_still_arriving_waits(site: Site) -> None:
    for more in range(3):
        site.source.more = more
        site.run(settle=5000)
    assert not site.sink.stored
    assert site.run(settle=3000)
    assert site.model.asked == len(STUDIES)


def test_a_study_that_the_rules_leave_out_is_no_failure(site: Site) -> None:
    for files in site.source._files.values():
        for known in files.values():
            known[:] = [
                (file, replace(header, about=replace(header.about, modality="SR")))
                for file, header in known
            ]
    assert site.run()
    assert set(site.states().values()) == {"left out"}
    assert "which has no image" in site.reason(site.uids[0])


def test_the_days_without_a_watch_are_looked_at(site: Site) -> None:
    site.run(days=3)
    first = site.source.query.dates
    assert first == "20270112-"  # three days before the clock's
    site.clock.now += 10 * 86400
    site.run(days=3)
    assert site.source.query.dates == "20270112-"
    site.run(days=3)
    assert site.source.query.dates == "20270122-"


def test_a_watch_stops_between_two_studies(site: Site) -> None:
    stop = Event()
    journal = site.journal()
    watch = Watch(
        site.source,
        lambda: site.model,  # pyright: ignore[reportArgumentType]
        site.sink,
        journal,
        replace(site.settings, once=False),
        rules=Rules(),
        say=lambda text, failed: stop.set(),
        clock=site.clock,
    )
    assert watch.run(stop)
    assert journal.counts() == {"sent": 1, "found": 2}
    journal.close()


def test_deidentified_results_refer_to_deidentified_images_and_nothing_has_the_identity(
    site: Site,
) -> None:
    key = bytes(32)
    site.model.segments = True
    site.options = {"privacy": Privacy(Pseudonyms(key)), "images": True}
    assert site.run()
    assert site.run()
    files = list((site.folder / "sent").rglob("*.dcm"))
    assert len(files) == len(STUDIES) * (SHAPE[2] + 2)
    secrets = {"Phantom", "P1", *site.uids}
    secrets |= {str(one.SOPInstanceUID) for study in STUDIES for one in slices(study=study)}
    named = {Pseudonyms(key).uid(uid) for uid in site.uids}
    for path in files:
        data = path.read_bytes()
        assert not {secret for secret in secrets if secret.encode() in data and secret != "P1"}
        assert path.parent.parent.name in named
    assert not [uid for uid in site.uids if uid in site.audit()]
    assert any(uid in site.audit() for uid in named)
    images = {path.stem for path in files}
    for path in files:
        for element in pydicom.dcmread(path).iterall():
            if element.keyword == "ReferencedSOPInstanceUID":
                assert element.value in images
