"""The models that a running server has, as they come, are replaced and go."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from naiad.client import ModelInfo
from naiad.core.schema import Arrays
from naiad.triton.logs import LogEvent
from naiad.triton.repository import naiad_models

_log = logging.getLogger("naiad.triton")


class ModelRegistry:
    """Which models are served, by what request each is probed, and which ought to be served."""

    def __init__(self, repositories: Sequence[Path], probes: Mapping[str, Arrays]) -> None:
        """Know no model yet; ``probes`` are requests that the models answer, by name."""
        self._repositories = repositories
        self._lock = threading.Lock()
        self.probes: dict[str, Arrays] = dict(probes)
        """A request that a model answers, by name."""
        self.ready: tuple[str, ...] = ()
        """The models that can be asked, by name."""
        self.missing: dict[str, str] = {}
        """Why a model cannot be asked that was served, and that nobody has unloaded."""
        self.loading: set[str] = set()
        """The models that are being loaded, or loaded anew."""
        self.changed: set[str] = set()
        """The models that were loaded or unloaded since the last update."""
        self._failures: dict[str, str] = {}
        self._unloading: dict[tuple[str, str], float] = {}

    @property
    def wanted(self) -> tuple[str, ...]:
        """The models that ought to be served."""
        return tuple(sorted({*self.ready, *self.missing}))

    def note(self, event: LogEvent) -> bool:
        """Take in what the log says; returns whether it is news.

        It is none that a model fails to load as it did before: a Triton that polls tries again.
        """
        if event.kind == "loading":
            self.loading.add(event.model)
            return event.model not in self._failures
        if event.kind in ("ready", "failed"):
            self.loading.discard(event.model)
        if event.kind in ("ready", "unloaded"):
            self.changed.add(event.model)
        # Not at "unloaded": what a reload has replaced may go after the next version has failed.
        if event.kind == "ready":
            self._failures.pop(event.model, None)
        elif event.kind == "failed":
            before = self._failures.get(event.model)
            self._failures[event.model] = event.text
            return event.text != before
        return True

    def update(self, index: Iterable[ModelInfo]) -> None:
        """Take in the server's index."""
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
            if before:  # those given for models that come later are kept
                for name in {*before} - {*self.wanted}:
                    self.probes.pop(name, None)
                    self._failures.pop(name, None)

    def stuck(self, limit: float) -> str:
        """Which model has been unloading for longer than ``limit`` seconds; "" where none has."""
        now = time.monotonic()
        for (name, version), since in self._unloading.items():
            if now - since > limit:
                return (
                    f"version {version} of {name} has not been unloaded in {limit:.0f} s; Triton "
                    f"holds requests of clients that are gone"
                )
        return ""

    def _learn(self, name: str, version: int) -> None:
        """Probe a model from now on by the example of the version that is served."""
        for repository in self._repositories:
            for model in naiad_models(repository):
                if model.name == name:
                    try:
                        self.probes[name] = model.example(version)
                    except Exception as error:  # it is the user's code
                        self.probes.pop(name, None)
                        _log.warning("%s has no example to be probed by: %s", name, error)


def _why_not(versions: Iterable[ModelInfo]) -> str:
    """Why none of a model's versions is served; "" where someone has unloaded or removed it."""
    for version in versions:
        if version.state == "LOADING":
            return "it is being loaded"
        if version.state == "UNAVAILABLE" and version.reason not in ("", "unloaded"):
            return version.reason
    return ""
