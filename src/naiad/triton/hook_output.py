"""Output of models' hooks in Triton's log: each distinct error once, then its number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from naiad.runtime.worker_log import PRINTED
from naiad.tracebacks import users_part
from naiad.triton.log_entries import Entry, LogEvent


@dataclass(slots=True)
class HookOutput:
    """The output of all models, since each was last loaded."""

    _times: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    _loading: set[str] = field(default_factory=set[str])

    def note(self, event: LogEvent) -> None:
        """Record that a model is being loaded: its errors are news again."""
        if event.kind == "loading":
            self._loading.add(event.model)
            for key in [key for key in self._times if key[0] == event.model]:
                del self._times[key]
        elif event.kind in ("ready", "failed"):
            self._loading.discard(event.model)

    def read(self, source: str, model: str, entry: Entry) -> LogEvent | None:
        """Return the event of a worker's entry, or None.

        All workers of a model print the same while they load it: that is shown once. The same error
        is shown again at its tenth, hundredth, ... occurrence, in one line with that number.
        """
        if entry.severity == "I":
            if source != PRINTED or (model in self._loading and self._again(model, entry.message)):
                return None
            return LogEvent("printed", entry.message, model)
        text = users_part(entry.message)
        event = LogEvent("warning" if entry.severity == "W" else "error", text, model)
        times = self._again(model, entry.source, *_kind_of(source, text)) + 1
        if times == 1:
            return event
        if times != 10 ** (len(str(times)) - 1):
            return None
        first, *rest = text.splitlines()
        what = " ".join([first, *rest[-1:]])
        return replace(event, text=f"{what} ({times:,} times)")

    def _again(self, *key: str) -> int:
        """Return how often it was there before."""
        self._times[key] += 1
        return self._times[key] - 1


def _kind_of(source: str, text: str) -> list[str]:
    """Return what errors have in common that differ only in their messages: class and frames."""
    if source != "py.warnings" and "\n" not in text:
        return []
    return [line.partition(": ")[0] for line in text.splitlines()]
