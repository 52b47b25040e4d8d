"""``naiad watch`` killed at every step, and in front of an archive that misbehaves.

The archive is Orthanc, where it is installed; the model is served by Triton.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

import numpy as np
import pytest
from tests.support import misbehaving
from tests.support.killed import Commands, forking
from tests.support.misbehaving import Front, Misbehave, in_front_of
from tests.support.pacs import running_archive

from naiad import testing
from naiad.applications.medical.covid_ct import phantoms
from naiad.dicom.archive import Archive
from naiad.dicom.orthanc import Orthanc
from naiad.dicom.simulate import Patient, series
from naiad.dicom.source import Query

SIZE = (64, 64, 16)
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
        images = list(series(voxels, (5.6, 5.6, 18.0), Patient("A^B", f"P{number}", f"s{number}")))
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
            *("--pacs-retries", "0", "--pacs-timeout", "300ms", "--tries", "50"),
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
    "after naiad.watch.journal:Journal.begin 1",
    "before naiad.dicom.headers:choose 1",  # images are fetched, and not yet chosen
    "after naiad.watch.journal:Journal.fetched 1",
    "after naiad.tasks.studies:StudyCall.outcome 1",  # the model has answered
    "before naiad.watch.outbox:_sync 2",  # in the middle of the results
    "after naiad.watch.outbox:Outbox.put 1",
    "after naiad.watch.journal:Journal.answered 1",
    "after naiad.watch.journal:Journal.sending 1",
    "after dicomweb_client.web:DICOMwebClient.store_instances 1",  # stored, and not yet noted
    "after naiad.watch.journal:Journal.stored 1",
    "after dicomweb_client.web:DICOMwebClient.store_instances 2",
    "before naiad.watch.journal:Journal.sent 1",
    "after naiad.watch.journal:Journal.sent 1",
    "before naiad.watch.audit_log:AuditLog.write 5",
    "after naiad.watch.audit_log:AuditLog.write 5",
]


@pytest.mark.parametrize("step", STEPS)
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


LOOK, FETCH, STORE = ("GET", "/studies?"), ("GET", "/series/"), ("POST", "/studies")


@pytest.mark.parametrize(
    ("request_", "how", "said"),
    [
        (LOOK, misbehaving.status(401), "answers 401 Unauthorized; give credentials in"),
        (LOOK, misbehaving.page, "answers no JSON; is it the root of a DICOMweb archive"),
        (LOOK, misbehaving.wrong_json, "answers no JSON"),
        (LOOK, misbehaving.other_json, "answers JSON that is not DICOM's"),
        (LOOK, misbehaving.slow, "did not answer in time; raise --pacs-timeout"),
        (FETCH, misbehaving.truncated, "broke off"),
        (FETCH, misbehaving.page, "answers what is not DICOM"),
        (FETCH, misbehaving.status(503), "answers 503 Service Unavailable; try later"),
        (STORE, misbehaving.status(403), "answers 403 Forbidden; its administrator must allow"),
        (STORE, misbehaving.status(409), "answers 409 Conflict; it refuses what was sent"),
        (STORE, misbehaving.status(507), "answers 507 Insufficient Storage; it is full"),
        (STORE, misbehaving.page, "answers what is not DICOM"),
        (STORE, misbehaving.slow, "did not answer in time"),
    ],
)
def test_an_archive_that_misbehaves_is_named_and_tried_again(
    site: Site, request_: tuple[str, str], how: Misbehave, said: str
) -> None:
    study = site.add()
    site.front.misbehave = {request_: how}
    try:
        for _ in range(2):
            status, text = site.run()
            assert status == 1, text
            (line,) = (line for line in text.splitlines() if said in line)
            assert site.front.url in line
            assert "Traceback" not in text
            time.sleep(0.05)
    finally:
        site.front.misbehave = {}
    status, text = site.run()
    assert status == 0, text
    assert site.results(study) == ["OT", "SR"]
    assert max(site.stored().values()) == 1 or how is misbehaving.slow


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
    import base64

    about = Request(f"{root}/statistics")
    about.add_header(
        "Authorization", "Basic " + base64.b64encode(site.archive.user.encode()).decode()
    )
    with opener.open(about) as answer:
        counted = json.load(answer)["CountInstances"]
    assert counted == len(site.studies) * (SIZE[2] + RESULTS)
