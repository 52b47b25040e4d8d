"""``naiad serve --reload``: models are replaced when their sources are edited."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from naiad.client import Client
from naiad.core.pipeline import Pipeline
from naiad.error_text import described
from naiad.errors import NaiadError, SchemaError
from naiad.runtime.preloaded import Preloaded
from naiad.triton.log_entries import LogEvent
from naiad.triton.rebuild import Order, rebuild
from naiad.triton.sources import imported_by, needed_by, source_of, watched
from naiad.triton.stub_watch import WORKER

_POLL: Final = 0.1  # seconds; an edit is read once its files have not changed for as long
_LOADING: Final = 300.0  # seconds within which a model must load

_SLOW: Final = {
    "torch": ("torch",),
    "torch_geometric": ("torch_geometric.nn", "naiad.geometric.pipeline"),
}
"""Modules to import early for a source that imports a package."""

Stamps = dict[Path, tuple[int, int]]


@dataclass(slots=True)
class Edited:
    """A model, and the files on which it depends."""

    order: Order
    source: Path
    files: set[Path]
    stamps: Stamps = field(init=False)
    last: Stamps = field(init=False)

    def __post_init__(self) -> None:
        """Take the files as they are now as those that are served."""
        self.stamps = self.last = _stamps(self.files)

    def changed(self) -> bool:
        """Return True if the files have changed, and not since the last poll."""
        before, self.last = self.last, _stamps(self.files)
        if self.last == self.stamps or self.last != before:
            return False
        self.stamps = self.last
        return True

    def add(self, files: set[Path], since: int) -> None:
        """Watch these files, too; one modified ``since`` a time in nanoseconds has changed."""
        added = files - self.files
        self.files |= added
        known = {path: stamp for path, stamp in _stamps(added).items() if stamp[0] < since}
        self.stamps = self.stamps | known


class Reloading:
    """Replaces a server's models when their sources are edited."""

    def __init__(
        self,
        folder: Path,
        kinds: Sequence[type[Pipeline]],
        orders: Sequence[Order],
        on_event: Callable[[LogEvent], None],
    ) -> None:
        """Start a process with the packages that the models need; its files are in ``folder``.

        Args:
            folder: of the server's, for temporary files.
            kinds: the classes that the orders name, as they are now.
            orders: how each model is written.
            on_event: called with each result.

        Raises:
            SchemaError: no model is of a file.
        """
        self._on_event = on_event
        self._edited = [
            Edited(order, source, watched(kind, source) | _given(order))
            for kind, order in zip(kinds, orders, strict=True)
            if (source := source_of(kind)) is not None
        ]
        if not self._edited:
            raise SchemaError("--reload needs a pipeline in a file, such as my_model.py:MyModel")
        imported = {name for one in self._edited for name in imported_by(one.source)}
        imported |= {"torch" for kind in kinds if kind.arrays == "torch"}
        slow = [module for name in _SLOW if name in imported for module in _SLOW[name]]
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._preloaded = Preloaded(folder, [WORKER, rebuild.__module__, *slow])

    @property
    def python(self) -> Path:
        """Program that runs Python modules with packages imported already."""
        return self._preloaded.python

    def watch(self, client: Client) -> None:
        """Watch the sources; ``client`` is of the server, which runs."""
        self._thread = threading.Thread(
            target=self._watch, args=(client,), name="naiad-reload", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the process, and watch no more."""
        self._closing.set()
        self._preloaded.close()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, client: Client) -> None:
        while not self._closing.wait(_POLL):
            if self._preloaded.revive():
                text = "the process with the imported packages died, and was started again"
                self._on_event(LogEvent("warning", text))
            for one in self._edited:
                if one.changed():
                    try:
                        event = self._reload(one, client)
                    except Exception as error:  # later edits must be served all the same
                        text = f"{one.order.name} was not reloaded: {described(error)}"
                        event = LogEvent("not reloaded", text, one.order.name)
                    if not self._closing.is_set():
                        self._on_event(event)

    def _reload(self, one: Edited, client: Client) -> LogEvent:
        began, model = time.time(), one.order.name
        answer = None
        while answer is None:
            answer = rebuild(self.python, one.order, one.changed)
        one.add({*map(Path, answer.watched), *needed_by(one.source)}, int(began * 1e9))
        error = answer.error
        if not error:
            try:
                client.load(model, timeout=_LOADING)
            except NaiadError as failure:
                error = str(failure)
        if not error:
            took = time.time() - began
            return LogEvent("reloaded", f"{model} reloaded in {took:.1f} s", model)
        text = f"{error}; the previous version of {model} is still served\n{answer.traceback}"
        return LogEvent("not reloaded", text.strip(), model)


def _given(order: Order) -> set[Path]:
    """Return the files that the user named for a model."""
    named = (order.settings.get(name) for name in ("weights", "example", "tuning"))
    return {Path(one) for one in named if isinstance(one, str | Path)}


def _stamps(paths: Iterable[Path]) -> Stamps:
    """Return time and size of each file, also of those in folders, that exists."""
    found: Stamps = {}
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else (path,):
            try:
                status = file.stat()
            except OSError:
                continue
            if "__pycache__" not in file.parts:
                found[file] = (status.st_mtime_ns, status.st_size)
    return found
