"""``naiad watch`` killed at every step, and in front of an archive that misbehaves.

The archive is Orthanc, where it is installed; the model is served by Triton.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pytest
from tests.support import misbehaving
from tests.support.full import full
from tests.support.killed import Commands, forking
from tests.support.misbehaving import Front, Misbehave, in_front_of
from tests.support.pacs import running_archive

from naiad import testing
from naiad.applications.medical.covid_ct import phantoms
from naiad.dicom.archive import Archive
from naiad.dicom.orthanc import Orthanc
from naiad.dicom.simulate import Patient, series
from naiad.dicom.source import Query

SIZE = (64, 64, 8)
RESULTS = 2  # a report and a picture
KILLED = -signal.SIGKILL


@dataclass
class Site:
    """An archive behind a server that can misbehave, a model, and a watch of both."""

    archive: Orthanc
    front: Front
    store: Archive
    model: str
    folder: Path
    commands: Commands
    studies: list[str] = field(default_factory=list)

    def add(self) -> str:
        """Store one more phantom; return the UID of its study."""
        number = len(self.studies)
        voxels = phantoms.draw(np.random.default_rng(number), opacities=number % 2 == 0, size=SIZE)
        images = list(series(voxels, (5.6, 5.6, 36.0), Patient("A^B", f"P{number}", f"s{number}")))
        for one in images:
            self.store.send([one])
        self.studies.append(str(images[0].StudyInstanceUID))
        return self.studies[-1]

    @property
    def journal(self) -> Path:
        return self.folder / "watch.db"

    @property
    def arguments(self) -> list[str]:
        url = self.front.url
        return [
            *("watch", "covid_ct", "--from", url, "--to", url, "--url", self.model),
            *("--journal", str(self.journal), "--settle", "0s", "--days", "0", "--every", "10ms"),
            *("--pacs-retries", "0", "--pacs-timeout", "1s", "--tries", "50"),
        ]

    def run(self, step: str = "") -> tuple[int, str]:
        """Run one round."""
        return self.commands.run([*self.arguments, "--once"], step)

    def stored(self) -> Counter[str]:
        """Return the number of times that each instance was sent."""
        path = self.folder / "stored"
        return Counter(path.read_text().split() if path.exists() else [])

    def results(self, study: str) -> list[str]:
        """Return the modalities of the results of a study."""
        (found,) = self.store.studies(Query(study))
        known = Counter({one.modality: one.images for one in self.store.series(found)})
        assert known.pop("CT") == SIZE[2]
        return sorted(known.elements())

    def audit(self) -> list[dict[str, object]]:
        path = self.journal.with_name("watch.db.audit.jsonl")
        return list(map(json.loads, path.read_text().splitlines()))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_archive() as archive, in_front_of(archive.url) as front:
        folder = tmp_path_factory.mktemp("watch")
        with (
            testing.serve("covid_ct", instances=1) as server,
            forking(folder / "stored", **archive.environment) as commands,
        ):
            store = Archive(archive.url, archive.access())
            yield Site(archive, front, store, server.grpc_url, folder, commands)
            store.close()


STEPS = [
    "after naiad.watch.journal:Journal.saw 1",
    "after naiad.tasks.studies:StudyCall.outcome 1",  # the model has answered
    "after naiad.watch.journal:Journal.answered 1",
    "after dicomweb_client.web:DICOMwebClient.store_instances 1",  # stored, and not yet noted
    "before naiad.watch.audit_log:AuditLog.write 5",
]
MORE_STEPS = [  # each takes seconds
    "before naiad.dicom.archive:choose 1",  # images are fetched, and not yet chosen
    "after naiad.watch.journal:Journal.fetched 1",
    "before naiad.watch.outbox:_sync 2",  # in the middle of the results
    "after naiad.watch.outbox:Outbox.put 1",
    "after naiad.watch.journal:Journal.stored 1",
    "after dicomweb_client.web:DICOMwebClient.store_instances 2",
    "after naiad.watch.journal:Journal.sent 1",
    "after naiad.watch.audit_log:AuditLog.write 5",
]


@pytest.mark.parametrize("step", [*STEPS, *(pytest.param(one, marks=full) for one in MORE_STEPS)])
def test_a_watch_that_is_killed_sends_once_and_loses_nothing(site: Site, step: str) -> None:
    study = site.add()
    status, text = site.run(step)
    assert status == KILLED, text
    status, text = site.run()
    assert status == 0, text
    assert site.results(study) == ["OT", "SR"]
    assert set(site.stored().values()) == {1}
    events = site.audit()
    numbers = [one["seq"] for one in events]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [one["event"] for one in events if one.get("study") == study].count("sent") == 1
    assert list((site.folder / "watch.db.files" / "results").iterdir()) == []


@contextmanager
def misbehaves(site: Site, method: str, path: str, how: Misbehave, said: str) -> Iterator[str]:
    """Yield what a round says of an archive that misbehaves."""
    site.front.misbehave = {(method, path): how}
    try:
        status, text = site.run()
    finally:
        site.front.misbehave = {}
    assert status == 1, text
    lines = [line for line in text.splitlines() if said in line]
    assert len(lines) == 1, (said, text)
    assert site.front.url in lines[0]
    assert "Traceback" not in text
    yield text
    time.sleep(0.05)  # beyond the pause


def test_an_archive_that_misbehaves_when_it_is_looked_at_is_named(site: Site) -> None:
    for how, said in (
        (misbehaving.status(401), "answers 401 Unauthorized; give credentials in"),
        (misbehaving.page, "answers no JSON; is it the root of a DICOMweb archive"),
        (misbehaving.wrong_json, "answers no JSON"),
        (misbehaving.other_json, "answers JSON that is not DICOM's"),
        (misbehaving.slow, "did not answer in time; raise --pacs-timeout"),
    ):
        with misbehaves(site, "GET", "/studies?", how, said) as text:
            assert "the next look is in" in text
    assert site.run()[0] == 0


def test_a_study_that_cannot_be_fetched_is_fetched_later(site: Site) -> None:
    study = site.add()
    for how, said in (
        (misbehaving.truncated, "broke off"),
        (misbehaving.page, "answers what is not DICOM"),
        (misbehaving.status(503), "answers 503 Service Unavailable; try later"),
    ):
        with misbehaves(site, "GET", "/series/", how, said) as text:
            assert f"study {study}: " in text
            assert "it is tried again" in text
    assert site.run()[0] == 0
    assert site.results(study) == ["OT", "SR"]


def test_results_that_are_not_taken_wait_on_the_disk(site: Site) -> None:
    study = site.add()
    for how, said in (
        (misbehaving.status(403), "answers 403 Forbidden; its administrator must allow"),
        (misbehaving.status(409), "answers 409 Conflict; it refuses what was sent"),
        (misbehaving.status(507), "answers 507 Insufficient Storage; it is full"),
        (misbehaving.page, "did not store the instance"),
    ):
        with misbehaves(site, "POST", "/studies", how, said):
            (folder,) = (site.folder / "watch.db.files" / "results").iterdir()
            assert len(list(folder.iterdir())) == RESULTS
    asked = [one["event"] for one in site.audit() if one.get("study") == study]
    assert asked.count("answered") == 1  # the model is not asked again
    with misbehaves(site, "POST", "/studies", misbehaving.slow, "did not answer in time"):
        pass  # and the archive has it
    assert site.run()[0] == 0
    assert site.results(study) == ["OT", "SR"]
    assert set(site.stored().values()) == {1}


def test_an_archive_that_is_down_is_waited_for_until_ctrl_c(site: Site) -> None:
    study = site.add()
    arguments = [*site.arguments, "--from", "http://127.0.0.1:9/dicom-web"]
    arguments[arguments.index("--journal") + 1] = str(site.folder / "down.db")
    with subprocess.Popen(
        [sys.executable, "-m", "naiad", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | site.archive.environment,
    ) as process:
        assert process.stdout is not None
        looks = 0
        for line in process.stdout:
            looks += "cannot be reached" in line and "the next look is in" in line
            if looks == 2:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(20) == 0
    assert "Stopping after the study in hand" in rest
    assert site.run()[0] == 0
    assert site.results(study) == ["OT", "SR"]


def test_the_archive_s_own_count_has_no_instance_twice(site: Site) -> None:
    """Orthanc counts what it holds, whatever DICOMweb says."""
    opener = build_opener(ProxyHandler({}))
    root = site.archive.url.removesuffix("/dicom-web")
    about = Request(f"{root}/statistics")
    about.add_header(
        "Authorization", "Basic " + base64.b64encode(site.archive.user.encode()).decode()
    )
    with opener.open(about) as answer:
        counted = json.load(answer)["CountInstances"]
    assert counted == len(site.studies) * (SIZE[2] + RESULTS)
