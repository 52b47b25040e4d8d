"""The journal of a watch, its audit log and its outbox."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.unit.dicom.series import slices

from naiad.dicom.source import Study
from naiad.errors import NaiadError
from naiad.watch.audit_log import AuditLog
from naiad.watch.journal import Journal
from naiad.watch.outbox import Outbox

WORK = {"task": "covid_ct", "--from": "https://pacs/dicom-web"}


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "watch.db"


@pytest.fixture
def journal(path: Path, clock: Clock) -> Iterator[Journal]:
    journal = opened(path, clock)
    yield journal
    journal.close()


def opened(path: Path, clock: Any, work: dict[str, str] = WORK) -> Journal:
    return Journal(path, AuditLog(path.with_name("audit.jsonl")), work, clock=clock)


def events(path: Path) -> list[dict[str, Any]]:
    return list(map(json.loads, path.with_name("audit.jsonl").read_text().splitlines()))


def test_a_study_goes_from_found_to_sent_and_is_never_next_again(
    journal: Journal, clock: Clock, path: Path
) -> None:
    assert journal.saw([Study("1.2", instances=4), Study("1.3", instances=4)]) == 2
    assert journal.saw([Study("1.2", instances=4), Study("1.3", instances=5)]) == 0
    assert journal.next(60) is None
    clock.now += 61
    entry = journal.next(60)
    assert entry is not None
    assert (entry.uid, entry.state, entry.tries) == ("1.2", "found", 0)
    journal.begin("1.2")
    journal.fetched("1.2", images=4)
    journal.answered("1.2", [("9.1", "0.dcm"), ("9.2", "1.dcm")])
    assert journal.kept() == {"1.2"}
    waiting = journal.sending("1.2")
    assert [(one.uid, one.is_stored) for one in waiting] == [("9.1", False), ("9.2", False)]
    journal.stored("1.2", 0)
    journal.close()
    journal = opened(path, clock)  # as after a crash
    assert [one.is_stored for one in journal.sending("1.2")] == [True, False]
    journal.sent("1.2")
    journal.saw([Study("1.2", instances=6)])  # with the results
    assert journal.kept() == set()
    entry = journal.next(60)
    assert entry is not None
    assert entry.uid == "1.3"
    assert journal.counts() == {"found": 1, "sent": 1}
    journal.close()


def test_a_study_that_grows_is_not_complete(journal: Journal, clock: Clock) -> None:
    for count in range(1, 5):
        journal.saw([Study("1.2", instances=count)])
        clock.now += 50
        assert journal.next(60) is None
    clock.now += 11
    assert journal.next(60) is not None


@pytest.mark.parametrize("state", ["failed", "left out"])
def test_a_study_that_failed_or_was_left_out_is_found_again_when_it_has_grown(
    journal: Journal, clock: Clock, state: str
) -> None:
    journal.saw([Study("1.2", instances=1)])
    if state == "failed":
        journal.failed("1.2", "no slices", "InvalidInput")
    else:
        journal.left_out("1.2", "no CT")
    journal.saw([Study("1.2", instances=1)])
    assert journal.state("1.2") == state
    journal.saw([Study("1.2", instances=2)])
    assert journal.state("1.2") == "found"


def test_the_one_that_failed_last_comes_last(journal: Journal, clock: Clock) -> None:
    journal.saw([Study("1.2"), Study("1.3")])
    journal.begin("1.2")
    journal.postpone("1.2", "it is down", clock.now, counted=False, outcome="Unavailable")
    clock.now += 1
    entry = journal.next(0)
    assert entry is not None
    assert entry.uid == "1.3"
    journal.left_out("1.3", "")
    entry = journal.next(0)
    assert entry is not None
    assert (entry.uid, entry.tries, entry.reason) == ("1.2", 0, "it is down")


def test_failed_studies_are_tried_again_on_request(journal: Journal) -> None:
    journal.saw([Study("1.2"), Study("1.3")])
    journal.failed("1.2", "down", "Unavailable")
    journal.answered("1.3", [("9.1", "0.dcm")])
    journal.failed("1.3", "refused", "InvalidInput")
    assert journal.retry_failed() == 2
    assert {one.uid: one.state for one in journal.entries()} == {"1.2": "found", "1.3": "answered"}


def test_files_are_private(journal: Journal, path: Path, clock: Clock) -> None:
    journal.saw([Study("1.2")])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    journal.close()
    path.chmod(0o644)
    with pytest.raises(NaiadError, match=r"watch\.db may be read by others; run: chmod 600"):
        opened(path, clock)
    path.chmod(0o600)


def test_two_processes_do_not_share_a_journal(journal: Journal, path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from naiad.watch.lock import locked\n"
        "with locked(Path(sys.argv[1])): pass"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert f"in use by another naiad watch, process {os.getpid()}; end that one" in run.stderr


@pytest.mark.parametrize("content", [b"no database at all" * 99, None])
def test_another_file_is_no_journal(path: Path, clock: Clock, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    else:
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE other (x)")
        database.close()
    path.chmod(0o600)
    with pytest.raises(NaiadError, match=r"watch\.db (is no|cannot be used as a) journal"):
        opened(path, clock)


def test_a_journal_is_of_one_watch(journal: Journal, path: Path, clock: Clock) -> None:
    journal.close()
    with pytest.raises(
        NaiadError, match="a watch with task 'covid_ct', not 'bundle'; name another"
    ):
        opened(path, clock, {**WORK, "task": "bundle"})
    opened(path, clock).close()


def test_the_audit_log_has_each_event_once_whenever_the_process_is_killed(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(path, clock)
    journal.saw([Study("1.2", instances=3)])
    write = AuditLog.write

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def killed_afterwards(*arguments: Any) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    for how in (killed, killed_afterwards):
        monkeypatch.setattr(AuditLog, "write", how)
        with pytest.raises(KeyboardInterrupt):
            journal.note("noted", outcome=how.__name__)
        journal.close()
        monkeypatch.setattr(AuditLog, "write", write)
        journal = opened(path, clock)
    with path.with_name("audit.jsonl").open("a") as file:
        file.write('{"cut off')
    journal.note("last")
    journal.close()
    lines = path.with_name("audit.jsonl").read_text().splitlines()
    lines.remove('{"cut off')
    found = [json.loads(line) for line in lines if line]
    assert [one["event"] for one in found] == ["found", "noted", "noted", "last"]
    assert [one["seq"] for one in found] == [1, 2, 3, 4]
    assert found[0]["study"] == "1.2"
    assert found[0]["time"] == "2027-01-15T08:00:00.000+00:00"
    assert found[0]["pid"] == os.getpid()


def test_two_journals_may_share_an_audit_log(tmp_path: Path, clock: Clock) -> None:
    for name in ("a.db", "b.db", "a.db"):
        journal = opened(tmp_path / name, clock)
        journal.note("started")
        journal.close()
    found = events(tmp_path / "a.db")
    assert [one["seq"] for one in found] == [1, 1, 2]
    assert len({one["journal"] for one in found}) == 2


def test_the_outbox_keeps_results_until_they_are_sent(path: Path) -> None:
    outbox = Outbox(path)
    results = slices()[:2]
    names = outbox.put("1.2", results)
    assert [uid for uid, _ in names] == [one.SOPInstanceUID for one in results]
    outbox.put("../../etc", results[:1])  # what an archive takes for a UID
    assert [one.name for one in path.parent.iterdir()] == ["watch.db.files"]
    assert stat.S_IMODE(outbox.folder.stat().st_mode) == 0o700
    (outbox.empty_images() / "left").touch()
    outbox = Outbox(path)  # after a crash
    outbox.tidy({"1.2"})
    assert not outbox.images.exists()
    again = [outbox.read("1.2", name) for _, name in names]
    assert [one.PixelData for one in again] == [one.PixelData for one in results]
    with pytest.raises(NaiadError, match="cannot be read: No such file"):
        outbox.read("../../etc", "000000.dcm")
    outbox.remove("1.2")
    assert not list((outbox.folder / "results").iterdir())


def test_images_move_to_the_outbox(path: Path) -> None:
    outbox = Outbox(path)
    image, result = slices()[:2]
    file = outbox.empty_images() / "a.dcm"
    image.save_as(file, enforce_file_format=True)
    names = outbox.put("1.2", [result], [file])
    assert [uid for uid, _ in names] == [image.SOPInstanceUID, result.SOPInstanceUID]
    assert not file.exists()
    assert isinstance(outbox.read("1.2", names[0][1]), pydicom.FileDataset)
