"""Supervision of a server: its models are probed, and it is restarted if one stops answering.

Two things show that a model is gone. Its process is dead, which the operating system reports within
a second. Or it is silent: it answers neither its example nor any other request, for longer than the
runtime takes to replace a worker that hangs, which disturbs less. A model that answers with errors
is reported as not ready, but not restarted: that would also restart the other models.

A server that has grown beyond its memory limit, or that cannot unload a model, is also restarted,
after it has answered in-flight requests: see :mod:`naiad.triton.memory`.

All of Triton is restarted, on the same ports: no request, process or shared memory of the model
that died is left in the way of the new one.

A server that served before it died is restarted without limit, with growing pauses: a request may
have killed it, and clients that send such requests must not be able to end the service. Only a
server that fails to start several times in a row is given up.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from naiad.backoff import Backoff
from naiad.client import Client
from naiad.core.schema import Arrays
from naiad.core.settings import Supervision
from naiad.errors import EngineError
from naiad.triton.exposition import Exemplar
from naiad.triton.health import Health, HealthEndpoint, Json
from naiad.triton.history import History
from naiad.triton.log_entries import LogEvent
from naiad.triton.memory import MemoryWatch
from naiad.triton.probing import Finding, answered, probe
from naiad.triton.prometheus import Sample
from naiad.triton.scrape import Scrape
from naiad.triton.stub_watch import Stubs

_AT_ONCE = 8  # probes


class _Watched(Protocol):
    """The part of :class:`naiad.triton.server.Server` that is supervised."""

    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def missing(self) -> Mapping[str, str]: ...
    @property
    def probes(self) -> Mapping[str, Arrays]: ...
    @property
    def own_url(self) -> str: ...
    @property
    def pid(self) -> int | None: ...
    def refresh(self) -> None: ...
    def stuck(self, limit: float) -> str: ...
    def metrics(self) -> list[Sample]: ...


class Restarts:
    """Back-off between restarts, and the limit of failed starts."""

    def __init__(self, policy: Supervision) -> None:
        """Begin without restarts."""
        self._policy = policy
        self._times: list[float] = []
        self._failed = 0

    def pause(self, now: float, *, served: bool) -> float | None:
        """Return the seconds to wait before a restart requested ``now``; None to give up.

        ``served``: the server has come up since the last restart.
        """
        policy = self._policy
        self._failed = 0 if served else self._failed + 1
        if self._failed >= policy.failed_starts:
            return None
        self._times = [at for at in self._times if now - at < policy.window]
        pause = Backoff(policy.first_pause, policy.longest_pause).wait(len(self._times))
        self._times.append(now + pause)
        return pause


class Silence:
    """Time since which each model has not answered."""

    def __init__(self, limit: float) -> None:
        """Begin with models that answer; ``limit`` is in seconds."""
        self._limit = limit
        self._since: dict[str, float] = {}

    def note(self, model: str, finding: Finding, asked: float, now: float) -> str:
        """Record a probe sent at ``asked``; return why to restart, or ""."""
        if finding.verdict != "silent":
            self._since.pop(model, None)
            return ""
        first = model not in self._since
        lasted = now - self._since.setdefault(model, asked)
        if first or lasted < self._limit:  # one probe alone may have been unlucky
            return ""
        return f"{model} has not answered for {lasted:.0f} s: {finding.reason}"

    def forget(self, model: str | None = None) -> None:
        """Forget one model, which is gone, or all, which are new."""
        if model is None:
            self._since.clear()
        else:
            self._since.pop(model, None)


class Supervisor:
    """Probes a server's models, reports at the health port, and restarts the server."""

    def __init__(
        self,
        policy: Supervision,
        host: str,
        health_port: int | None,
        on_event: Callable[[LogEvent], None],
        openapi: Callable[[], Json] | None = None,
    ) -> None:
        """Open the health port, if any; probe nothing yet.

        ``openapi`` returns the document that is served there, too.

        Raises:
            EngineError: the port is in use.
        """
        self._policy = policy
        self._on_event = on_event
        self._restarts = Restarts(policy)
        self._silence = Silence(policy.silence)
        self._stubs = Stubs()
        self._memory = MemoryWatch(policy.memory_limit, policy.interval)
        self._trouble = ""
        self._stuck = ""
        self._life = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        # A round of probes begins an interval after the last, and each may take the deadline.
        self.health = Health(patience=2 * (policy.interval + policy.deadline))
        self._endpoint = (
            HealthEndpoint(self.health, host, health_port, openapi)
            if health_port is not None
            else None
        )
        self.mending = False
        """True during a restart."""
        self.patient = False
        """True if the server can answer in-flight requests before it is restarted."""

    @property
    def health_port(self) -> int | None:
        """Port of ``/livez`` and ``/readyz``."""
        return self._endpoint.port if self._endpoint is not None else None

    def share(self, history: History | None, control_key: str) -> None:
        """Answer questions about the history at the health port, to those with the key."""
        if self._endpoint is not None and history is not None:
            self._endpoint.share(history, control_key)

    def share_metrics(
        self,
        sources: Sequence[Callable[[], str]],
        exemplars: Callable[[], Iterable[Exemplar]] = tuple[Exemplar, ...],
    ) -> None:
        """Report metrics at the health port, too; the arguments are those of Scrape."""
        if self._endpoint is not None:
            self._endpoint.share_metrics(Scrape(self.health.report, sources, exemplars))

    def watch(self, server: _Watched) -> None:
        """Begin to probe a server whose models have just answered."""
        self._serving(server)
        self._thread = threading.Thread(
            target=self._probe_often, args=(server,), name="naiad-probes", daemon=True
        )
        self._thread.start()

    def trouble(self, triton: int | None, loading: Collection[str] = ()) -> str:
        """Return why the server must be restarted, or ""; models may be ``loading``."""
        lost = self._stubs.lost(triton, loading) if triton is not None else ""
        reason = lost or self._trouble
        self.patient = not reason
        if not reason and triton is not None:
            reason = self._stuck or self._memory.excess(triton)
            if reason:
                self.health.drains(reason)
        return reason

    def mend(self, reason: str, restart: Callable[[], None], server: _Watched) -> str:
        """Call ``restart`` until it succeeds; return why it was given up, or "".

        Also return "" if the server is stopped in the meantime.
        """
        self.mending = True
        served = True
        try:
            while not self._ended.is_set():
                pause = self._restarts.pause(time.monotonic(), served=served)
                served = False
                if pause is None:
                    return self._give_up(reason)
                self._life += 1
                self.health.restarting(reason)
                self._on_event(LogEvent("warning", f"restarting: {reason}"))
                began = time.perf_counter()
                if self._ended.wait(pause):
                    break
                try:
                    restart()
                except EngineError as error:
                    reason = str(error)
                else:
                    self._begin_anew(server)
                    took = time.perf_counter() - began
                    self._on_event(LogEvent("warning", f"serving again after {took:.1f} s"))
                    break
            return ""
        finally:
            self.mending = False

    def retire(self) -> None:
        """Stop probing and restarting, and report that the server is stopping."""
        self._ended.set()
        if self.health.live():
            self.health.ends("stopping")

    def close(self) -> None:
        """Close the health port, after the server has ended and no probe is in progress."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._endpoint is not None:
            self._endpoint.close()

    def _give_up(self, reason: str) -> str:
        policy = self._policy
        text = f"gave up after {policy.failed_starts} failed starts in a row; the last: {reason}"
        self.health.ends("failed", text)
        return text

    def _begin_anew(self, server: _Watched) -> None:
        self._stubs = Stubs()
        self._silence.forget()
        self._trouble = self._stuck = ""
        self._serving(server)

    def _serving(self, server: _Watched) -> None:
        self.health.serving(server.models)
        self._sync(server)
        if server.pid is not None and (warning := self._memory.begin(server.pid)):
            self._on_event(LogEvent("warning", warning))

    def _sync(self, server: _Watched) -> None:
        """Sync health with the currently loaded models."""
        with contextlib.suppress(EngineError):
            server.refresh()
        self.health.keep({*server.models, *server.missing})
        for model, reason in server.missing.items():
            self.health.found(model, reason)
        self._stuck = server.stuck(self._policy.unloading)

    def _probe_often(self, server: _Watched) -> None:
        with Client(server.own_url, retries=0) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
            while not self._ended.wait(self._policy.interval):
                if self.health.state != "serving":
                    continue
                self._sync(server)
                before = _answered(server)
                rounds = [
                    pool.submit(self._probe, server, client, model, before)
                    for model in server.models
                ]
                for one in rounds:
                    one.result()

    def _probe(
        self, server: _Watched, client: Client, model: str, before: Mapping[str, float]
    ) -> None:
        life, asked = self._life, time.monotonic()
        finding = probe(client, model, server.probes.get(model), self._policy.deadline)
        if not finding.able and _answered(server).get(model, 0) > before.get(model, 0):
            finding = Finding("busy", finding.reason)
        if self._ended.is_set() or life != self._life:
            return  # stopped or restarted in the meantime
        if not finding.able:
            self._sync(server)
            if model not in server.models:
                self._silence.forget(model)
                return  # unloaded in the meantime
        self.health.found(model, "" if finding.able else finding.reason)
        reason = self._silence.note(model, finding, asked, time.monotonic())
        self._trouble = self._trouble or reason


def _answered(server: _Watched) -> Mapping[str, float]:
    try:
        return answered(server.metrics())
    except EngineError:
        return {}
