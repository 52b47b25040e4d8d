"""The journal of a watch: what was done with each study, in SQLite.

A study is ``found``, and once it is complete ``fetched``; ``answered`` when its results are in the
outbox; ``sending`` while they are sent, and ``sent`` when the archive has all of them. One that the
rules leave out is ``left out``, and one that was tried too often ``failed``. Each change is on the
disk before the next thing is done, so a process that is killed goes on where it was. A try is
counted before it begins: a study that kills the process has failed, too, after some tries.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from naiad.dicom.source import Study
from naiad.errors import NaiadError
from naiad.files import open_private
from naiad.watch.audit_log import AuditLog, Event
from naiad.watch.lock import locked

State: TypeAlias = Literal["found", "fetched", "answered", "sending", "sent", "left out", "failed"]
FORMAT: Final = 1
_APPLICATION: Final = 0x6E616961  # of the file's header: "naia"
_SCHEMA: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE studies (
    uid TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    instances INTEGER NOT NULL,   -- that the archive said it has
    found REAL NOT NULL,          -- times are UNIX times
    changed REAL NOT NULL,        -- the number of instances
    tries INTEGER NOT NULL DEFAULT 0,
    trouble REAL NOT NULL DEFAULT 0,  -- the last failure
    due REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    named TEXT NOT NULL               -- its UID in results and in the audit log
) WITHOUT ROWID;
CREATE INDEX by_state ON studies (state, due);
CREATE TABLE instances (
    study TEXT NOT NULL REFERENCES studies (uid),
    number INTEGER NOT NULL,
    uid TEXT NOT NULL,
    file TEXT NOT NULL,
    stored REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (study, number)
) WITHOUT ROWID;
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, event TEXT NOT NULL);
"""
_WAITING: Final = ("found", "fetched", "answered", "sending")
_BEGUN: Final = ("answered", "sending")
_COLUMNS: Final = "uid, state, instances, tries, trouble, due, reason, named"


@dataclass(frozen=True, slots=True)
class Entry:
    """A study in the journal.

    Attributes:
        uid: StudyInstanceUID, as it was found.
        state: see above.
        instances: number of its instances when it was found.
        tries: number of times that it was begun, without those that were no fault of its own.
        trouble: time of the last failure, or 0.
        due: time before which it is not tried again.
        reason: of the last failure, or for which it was left out, or "".
        named: its UID in results.
    """

    uid: str
    state: State
    instances: int
    tries: int
    trouble: float
    due: float
    reason: str
    named: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An instance that was decided on, and whether the archive has it."""

    number: int
    uid: str
    file: str
    is_stored: bool


class Journal:
    """An open journal, locked against other processes."""

    def __init__(
        self,
        path: Path,
        audit: AuditLog,
        work: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the journal, or make it.

        Args:
            path: on a local disk.
            audit: gets an event for each change.
            work: what the journal is of, such as the task and the archives: it does not change.
            clock: the UNIX time.

        Raises:
            NaiadError: another process has it, it is of other work, or it is no journal.
        """
        self.path, self._audit, self._clock = path, audit, clock
        self._stack = ExitStack()
        try:
            self._stack.enter_context(locked(path))
            with open_private(path, os.O_RDWR | os.O_CREAT):
                pass  # SQLite's further files have the permissions of this one
            with self._errors():
                self._db = self._stack.enter_context(
                    closing(sqlite3.connect(path, isolation_level=None))
                )
                self._prepare(work)
                self._name = self._fact("name")
                self._db.execute("DELETE FROM events WHERE number <= ?", (audit.last(self._name),))
            self._flush()
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Close the journal."""
        self._stack.close()

    @property
    def secret(self) -> bytes:
        """A random key of 32 bytes, which is the journal's."""
        return bytes.fromhex(self._fact("secret"))

    @property
    def looked(self) -> float:
        """The time of the last look, at first that of the journal's begin."""
        return float(self._fact("looked"))

    def saw(self, studies: Sequence[Study], named: Callable[[str], str] = str) -> int:
        """Note the studies of a look, and its time; return the number of new ones.

        Studies that failed or were left out are found again when their instances have changed.

        Args:
            studies: that the archive listed.
            named: returns the UID of a study in results and in the audit log.
        """
        now, new = self._clock(), 0
        with self._change():
            for study in studies:
                known = self._entry(study.uid)
                if known is None:
                    new += 1
                    self._db.execute(
                        "INSERT INTO studies (uid, state, instances, found, changed, named)"
                        " VALUES (?, 'found', ?, ?, ?, ?)",
                        (study.uid, study.instances, now, now, named(study.uid)),
                    )
                    self._event("found", study.uid, {"instances": study.instances})
                elif known.instances != study.instances and known.state not in (*_BEGUN, "sent"):
                    again = known.state in ("left out", "failed")
                    self._set(study.uid, instances=study.instances, changed=now)
                    if again:
                        self._set(study.uid, state="found", tries=0, due=0)
            self._db.execute("UPDATE facts SET value = ? WHERE name = 'looked'", (repr(now),))
        return new

    def next(self, settle: float) -> Entry | None:
        """Return the study to work on, or None; those that failed last come last.

        Args:
            settle: seconds for which the number of instances must not have changed.
        """
        now = self._clock()
        return self._one(
            "(state IN ('answered', 'sending') OR state IN ('found', 'fetched')"
            " AND (changed <= ? OR changed > ?)) AND due <= ? ORDER BY trouble, found, uid LIMIT 1",
            now - settle,
            now,  # the clock was set back
            now,
        )

    def begin(self, uid: str) -> None:
        """Count a try, which is beginning."""
        with self._change():
            self._db.execute("UPDATE studies SET tries = tries + 1 WHERE uid = ?", (uid,))

    def fetched(self, uid: str, **facts: Any) -> None:
        """Note that the images are here."""
        with self._change():
            self._set(uid, state="fetched")
            self._event("fetched", uid, facts)

    def answered(
        self, uid: str, instances: Sequence[tuple[str, str]], reason: str = "", **facts: Any
    ) -> None:
        """Note that the results are in the outbox.

        Args:
            uid: of the study.
            instances: the UIDs of the results, and the names of their files.
            reason: for which some scans have no result.
            facts: for the audit log.
        """
        with self._change():
            self._db.execute("DELETE FROM instances WHERE study = ?", (uid,))
            self._db.executemany(
                "INSERT INTO instances (study, number, uid, file) VALUES (?, ?, ?, ?)",
                [(uid, number, *one) for number, one in enumerate(instances)],
            )
            self._set(uid, state="answered", tries=0, due=0, reason=reason)
            self._event("answered", uid, facts)

    def sending(self, uid: str) -> list[Waiting]:
        """Note that sending begins; return the instances in order."""
        with self._change():
            if (entry := self._entry(uid)) is not None and entry.state != "sending":
                self._set(uid, state="sending")
                self._event("sending", uid, {})
        rows = self._db.execute(
            "SELECT number, uid, file, stored FROM instances WHERE study = ? ORDER BY number",
            (uid,),
        )
        return [Waiting(number, one, file, bool(stored)) for number, one, file, stored in rows]

    def stored(self, uid: str, number: int) -> None:
        """Note that the archive has an instance."""
        with self._change():
            self._db.execute(
                "UPDATE instances SET stored = ? WHERE study = ? AND number = ?",
                (self._clock(), uid, number),
            )

    def sent(self, uid: str, **facts: Any) -> None:
        """Note that the archive has all results."""
        with self._change():
            self._set(uid, state="sent")
            self._event("sent", uid, facts)

    def left_out(self, uid: str, reason: str) -> None:
        """Note that no series of a study is taken."""
        with self._change():
            self._set(uid, state="left out", reason=reason)
            self._event("left out", uid, {})

    def postpone(self, uid: str, reason: str, due: float, *, counted: bool, outcome: str) -> None:
        """Note a failure after which the study is tried again.

        Args:
            uid: of the study.
            reason: of the failure.
            due: time of the next try.
            counted: it may be the study's own fault.
            outcome: of the try, for the audit log.
        """
        now = self._clock()
        with self._change():
            self._set(uid, reason=reason, due=due, trouble=now)
            if not counted:
                self._db.execute("UPDATE studies SET tries = tries - 1 WHERE uid = ?", (uid,))
            self._event("postponed", uid, {"outcome": outcome})

    def failed(self, uid: str, reason: str, outcome: str) -> None:
        """Note that a study is not tried again."""
        with self._change():
            self._set(uid, state="failed", reason=reason, trouble=self._clock())
            self._event("failed", uid, {"outcome": outcome})

    def retry_failed(self) -> int:
        """Let the studies that have failed be tried again; return their number."""
        with self._change():
            return self._db.execute(
                "UPDATE studies SET tries = 0, due = 0, state = CASE WHEN EXISTS"
                " (SELECT * FROM instances WHERE study = studies.uid) THEN 'answered'"
                " ELSE 'found' END WHERE state = 'failed'"
            ).rowcount

    def note(self, event: str, **facts: Any) -> None:
        """Note an event that is about no study."""
        with self._change():
            self._event(event, "", facts)

    def entries(self, *states: State) -> list[Entry]:
        """Return the studies in some states, or all, in the order in which they were found."""
        marks = ",".join("?" * len(states))
        where = f"state IN ({marks})" if states else "1"
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM studies WHERE {where} ORDER BY found, uid", states
        )
        return [Entry(*row) for row in rows]

    def state(self, uid: str) -> State | None:
        """Return the state of a study, or None."""
        entry = self._entry(uid)
        return None if entry is None else entry.state

    def counts(self) -> dict[State, int]:
        """Return the number of studies in each state that any is in."""
        rows = self._db.execute("SELECT state, count(*) FROM studies GROUP BY state")
        return dict(rows.fetchall())

    def kept(self) -> set[str]:
        """Return the studies whose results are in the outbox."""
        rows = self._db.execute(
            "SELECT DISTINCT study FROM instances JOIN studies ON studies.uid = study"
            " WHERE state != 'sent'"
        )
        return {uid for (uid,) in rows}

    def _prepare(self, work: Mapping[str, str]) -> None:
        """Check that the file is a journal of this work; make its tables if it is empty."""
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            facts = {
                "work": json.dumps(dict(work)),
                "name": secrets.token_hex(4),
                "secret": secrets.token_hex(32),
                "looked": repr(self._clock()),
            }
            script = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {FORMAT};"
            self._db.executescript(f"BEGIN; {_SCHEMA} {script} COMMIT;")
            with self._change():
                self._db.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        elif application != _APPLICATION or version != FORMAT:
            raise NaiadError(
                f"{self.path} is no journal of naiad watch, or one of another version; name "
                "another file with --journal"
            )
        before: dict[str, str] = json.loads(self._fact("work"))
        for name, value in work.items():
            if before.get(name) != value:
                raise NaiadError(
                    f"{self.path} is the journal of a watch with {name} {before.get(name)!r}, not "
                    f"{value!r}; name another file with --journal"
                )

    def _fact(self, name: str) -> str:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise NaiadError(f"{self.path} is damaged: it has no {name}; begin another journal")
        return row[0]

    def _entry(self, uid: str) -> Entry | None:
        return self._one("uid = ?", uid)

    def _one(self, where: str, *values: Any) -> Entry | None:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM studies WHERE {where}", values).fetchone()
        return None if row is None else Entry(*row)

    def _set(self, uid: str, **values: Any) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE studies SET {columns} WHERE uid = ?", (*values.values(), uid))

    def _event(self, event: str, uid: str, facts: Event) -> None:
        entry = self._entry(uid)
        said = {"event": event} | ({} if entry is None else {"study": entry.named}) | facts
        self._db.execute(
            "INSERT INTO events (at, event) VALUES (?, ?)", (self._clock(), json.dumps(said))
        )

    @contextmanager
    def _change(self) -> Generator[None]:
        """Make changes durable together, then write their events to the audit log."""
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        self._flush()

    def _flush(self) -> None:
        rows = self._db.execute("SELECT number, at, event FROM events ORDER BY number").fetchall()
        if rows:
            events = ((number, at, json.loads(event)) for number, at, event in rows)
            self._audit.write(self._name, events)
            self._db.execute("DELETE FROM events WHERE number <= ?", (rows[-1][0],))

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise NaiadError(f"{self.path} cannot be used as a journal: {error}") from error
