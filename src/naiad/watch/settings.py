"""Settings of ``naiad watch``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from naiad.core.fields import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How often an archive is asked, and how patiently. Fields are options of ``naiad watch``."""

    journal: Path = setting(
        Path("watch.db"),
        "File that remembers what was done with each study, on a local disk. Its files beside it "
        "have results until they are sent. A watch goes on where its journal says.",
        metavar="FILE",
    )
    audit: Path | None = setting(
        None,
        "File to append the audit log to, JSON lines; by default JOURNAL.audit.jsonl.",
        metavar="FILE",
    )
    every: float = setting(30.0, "Time between looks for new studies.", unit="s", above=0)
    settle: float = setting(
        60.0,
        "A study is complete once its number of instances has not changed for this time.",
        unit="s",
        min=0,
    )
    days: int = setting(
        7,
        "Look at studies of the last days, by StudyDate, and of any days without a watch before; "
        "0: at all studies. --dates takes its place.",
        min=0,
    )
    tries: int = setting(5, "Number of times that a study is tried before it has failed.", min=1)
    once: bool = setting(
        False, "Look once, work on the studies that are complete, and end: for cron."
    )
    retry_failed: bool = setting(False, "Try the studies again that have failed.")

    @property
    def audit_file(self) -> Path:
        """The audit log."""
        return self.audit or self.journal.with_name(f"{self.journal.name}.audit.jsonl")
