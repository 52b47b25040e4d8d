"""Triton's process, with the log and temporary files that it keeps across restarts."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from naiad.core.settings import ServeSettings
from naiad.errors import EngineError
from naiad.triton.command import (
    ALL,
    command_line,
    exits_on_error,
    loaded_first,
    model_directories,
    services,
)
from naiad.triton.endpoints import Endpoints
from naiad.triton.engine import Layout, environment
from naiad.triton.log_entries import LogEvent
from naiad.triton.logs import LogFollower
from naiad.triton.predecessor import STOPPING
from naiad.triton.reaper import Charge, Reaper, remove
from naiad.triton.startup import last_words, wait_for_start

_LISTENING = 10.0  # maximum seconds from the log entry that HTTP listens until it does


class TritonProcess:
    """Triton with the ports, log and temporary files that it keeps across restarts."""

    def __init__(
        self,
        layout: Layout,
        repositories: Sequence[Path],
        settings: ServeSettings,
        endpoints: Endpoints,
        *,
        scratch: Path,
        temporary: Sequence[Path],
        python: Path | None = None,
        linked: Mapping[Path, Path] | None = None,
        history: str = "",
    ) -> None:
        """Make its files; start nothing yet.

        Args:
            layout: the assembled engine.
            repositories: the model repositories to serve.
            settings: the server's settings.
            endpoints: the addresses to listen on.
            scratch: a folder for its temporary files, removed with them.
            temporary: files and folders to remove even if this process dies.
            python: what workers run in, in place of this process's Python.
            linked: repositories of links, and those that they stand for.
            history: path of the ring that gets its requests, or "".
        """
        identity = token_hex(4)
        name = f"triton-{datetime.now().strftime('%Y%m%d-%H%M%S')}-{identity}.log"
        log_dir = settings.log_dir and settings.log_dir.absolute()
        if log_dir is not None:
            log_dir.mkdir(parents=True, exist_ok=True)
            (log_dir / name).touch()
        self.scratch = scratch
        """The folder of its temporary files."""
        self.log_path = (log_dir or self.scratch) / name
        self.log_path.touch()
        self._stopping = self.scratch / "stopping"
        self._layout, self._repositories = layout, tuple(repositories)
        self._settings, self._endpoints = settings, endpoints
        self._python = python
        self._history = history
        self._shared_memory = f"naiad-{identity}-"
        self._remove = [str(self.scratch), *map(str, temporary)]
        self._follower = LogFollower(self.log_path, linked or {})
        self._reaper: Reaper | None = None
        self._last = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Triton's process id, once it has been started."""
        return self._reaper.pid if self._reaper is not None else None

    def start(
        self,
        on_event: Callable[[LogEvent], None],
        *,
        again: Sequence[str] | None = None,
        refused: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Start Triton, which must not be running; return when its models are loaded.

        With ``again``, the models that it had, a model that fails to load does not stop the others:
        it may be a new version that failed before, while its predecessor was served. Otherwise the
        start fails with reasons for all models, with those ``refused`` among them.

        Returns:
            Reasons why models did not load, by name, if they do not stop the others.

        Raises:
            PortTakenError: a port is in use.
            StuckError: models whose processes died stop the others; leave them out.
            EngineError: the start failed, or :meth:`start_no_more` was called.
        """
        # Do not attribute the previous Triton's last words to this one.
        for event in self._follower.rest():
            on_event(event)
        with self._lock:
            if self._last:
                raise EngineError("the server is being stopped")
            self._stopping.unlink(missing_ok=True)
            if sockets := self._endpoints.sockets:
                sockets.make_room()
            settings = self._settings if again is None else _again(self._settings, again)
            self._reaper = Reaper(self._charge(settings))
        failed = wait_for_start(
            self._reaper,
            self._follower,
            self._expected(settings, refused or {}),
            len(services(settings.arguments)),
            settings.start_timeout,
            on_event,
            all_must_load=again is None and exits_on_error(settings),
            refused=refused,
        )
        self._endpoints.wait_for_http(_LISTENING)
        return failed

    def start_no_more(self) -> None:
        """Make every later :meth:`start` fail."""
        with self._lock:
            self._last = True

    def abort(self) -> None:
        """Make a :meth:`start` in progress in another thread fail."""
        if self._reaper is not None:
            self._reaper.kill()

    def poll(self, timeout: float, on_event: Callable[[LogEvent], None]) -> str:
        """Pass on events of the log; return why Triton has died, or "" while it runs."""
        assert self._reaper is not None
        ended = [e for e in self._reaper.poll(timeout) if e["event"] == "ended"]
        for event in self._follower.poll():
            on_event(event)
        return last_words(ended, self._follower) if ended else ""

    def end(self, ask: Callable[[Reaper], None]) -> None:
        """End Triton, all its processes and shared memory; ``ask`` requests the end."""
        if self._reaper is not None:
            ask(self._reaper)
            if not self._reaper.wait(self._reaper.exit_limit):
                self._reaper.destroy()
            self._reaper = None

    def _charge(self, settings: ServeSettings) -> Charge:
        own = {STOPPING: str(self._stopping), "NAIAD_HISTORY": self._history}
        if self._python is not None:
            own["NAIAD_PYTHON"] = str(self._python)
        if settings.model_control == "poll":
            # Bytecode that Python writes beside model.py looks like a change to Triton, which
            # then reloads every model.
            own["PYTHONDONTWRITEBYTECODE"] = "1"
        command = command_line(
            self._layout,
            self._repositories,
            settings,
            self._endpoints,
            shared_memory=self._shared_memory,
            links=self.scratch,
        )
        return Charge(
            command=command,
            environment=environment(self._layout) | own,
            log=str(self.log_path),
            exit_timeout=settings.exit_timeout,
            shared_memory=self._shared_memory,
            stopping=str(self._stopping),
            secret=self._endpoints.control_key,
            remove=self._remove,
        )

    def _expected(self, settings: ServeSettings, refused: Mapping[str, str]) -> int:
        """Return the number of models to load at the start, without those refused."""
        names = loaded_first(settings)
        if settings.model_control == "poll":  # Triton tries them, too
            return sum(map(len, map(model_directories, self._repositories))) - len(refused)
        there = sum(map(len, map(model_directories, self._repositories)))
        return there if names == ALL else len(names)

    def remove_files(self, *, keep_log: bool) -> None:
        """Remove the temporary files, including the log if it is one of them."""
        if keep_log and self.log_path.parent == self.scratch:
            for path in self.scratch.iterdir():
                if path != self.log_path:
                    remove(path)
        else:
            shutil.rmtree(self.scratch, ignore_errors=True)


def _again(settings: ServeSettings, models: Sequence[str]) -> ServeSettings:
    arguments = (*settings.arguments, "--exit-on-error=false")
    return replace(settings, load=tuple(models), arguments=arguments)
