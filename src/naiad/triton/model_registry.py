"""The models of a running server, as they are loaded, replaced and unloaded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from naiad.client import ModelInfo
from naiad.core.schema import Arrays
from naiad.triton.log_entries import LogEvent
from naiad.triton.repository import naiad_models

_log = logging.getLogger("naiad.triton")


class ModelRegistry:
    """The models that are served, those that should be, and the requests that probe them."""

    def __init__(self, repositories: Sequence[Path], probes: Mapping[str, Arrays]) -> None:
        """Start without models; ``probes`` are requests that models answer, by name."""
        self._repositories = repositories
        self._lock = threading.Lock()
        self.probes: dict[str, Arrays] = dict(probes)
        """Requests that the models answer, by name."""
        self.ready: tuple[str, ...] = ()
        """Names of the models that are ready."""
        self.missing: dict[str, str] = {}
        """Reasons why models are not ready that were served and not unloaded, by name."""
        self.loading: set[str] = set()
        """Models being loaded or reloaded."""
        self.changed: set[str] = set()
        """Models loaded or unloaded since the last update."""
        self._failures: dict[str, str] = {}
        self._unloading: dict[tuple[str, str], float] = {}

    @property
    def wanted(self) -> tuple[str, ...]:
        """Models that should be served."""
        return tuple(sorted({*self.ready, *self.missing}))

    def note(self, event: LogEvent) -> bool:
        """Record an event of the log; return True if it is news.

        A model that fails to load as before is not news: a Triton that polls tries again.
        """
        if event.kind == "loading":
            self.loading.add(event.model)
            return event.model not in self._failures
        if event.kind in ("ready", "failed"):
            self.loading.discard(event.model)
        if event.kind in ("ready", "unloaded"):
            self.changed.add(event.model)
        # Not at "unloaded": a replaced version may be unloaded after the next one has failed.
        if event.kind == "ready":
            self._failures.pop(event.model, None)
        elif event.kind == "failed":
            before = self._failures.get(event.model)
            self._failures[event.model] = event.text
            return event.text != before
        return True

    def update(self, index: Iterable[ModelInfo]) -> None:
        """Record the server's index."""
        versions: dict[str, list[ModelInfo]] = {}
        for model in index:
            versions.setdefault(model.name, []).append(model)
        now = time.monotonic()
        with self._lock:
            wanted, before = self.wanted, self.ready
            self._unloading = {
                (name, version.version): self._unloading.get((name, version.version), now)
                for name, own in versions.items()
                for version in own
                if version.state == "UNLOADING"
            }
            loaded, self.changed = self.changed, set()
            self.ready = tuple(
                sorted(name for name, own in versions.items() if any(v.ready for v in own))
            )
            self.missing = {
                name: reason
                for name in wanted
                if name not in self.ready and (reason := _why_not(versions.get(name, ())))
            }
            for name in self.ready:
                if name in loaded or (before and name not in before):
                    newest = max(int(v.version) for v in versions[name] if v.ready)
                    self._learn(name, newest)
            if before:  # probes for models that are loaded later are kept
                for name in {*before} - {*self.wanted}:
                    self.probes.pop(name, None)
                    self._failures.pop(name, None)

    def stuck(self, limit: float) -> str:
        """Return a message if a model is still unloading after ``limit`` seconds, or ""."""
        now = time.monotonic()
        for (name, version), since in self._unloading.items():
            if now - since > limit:
                return (
                    f"version {version} of {name} has not unloaded within {limit:.0f} s; Triton "
                    f"still holds requests of clients that are gone"
                )
        return ""

    def _learn(self, name: str, version: int) -> None:
        """Probe a model from now on with the example of the served version."""
        for repository in self._repositories:
            for model in naiad_models(repository):
                if model.name == name:
                    try:
                        self.probes[name] = model.example(version)
                    except Exception as error:  # the user's code
                        self.probes.pop(name, None)
                        _log.warning("%s has no example to probe it with: %s", name, error)


def _why_not(versions: Iterable[ModelInfo]) -> str:
    """Return why none of a model's versions is served; "" if it was unloaded or removed."""
    for version in versions:
        if version.state == "LOADING":
            return "it is being loaded"
        if version.state == "UNAVAILABLE" and version.reason not in ("", "unloaded"):
            return version.reason
    return ""
