"""The embedded Triton as an object."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from naiad.client import Client
from naiad.control_key import new_key
from naiad.core.fields import keywords, settings_of
from naiad.core.schema import Arrays
from naiad.core.settings import GateSettings, ServerOptions, ServeSettings, Supervision
from naiad.errors import EngineError
from naiad.openapi.models import models_document
from naiad.triton.about import About
from naiad.triton.command import asks_for_tls, check_settings, exits_on_error
from naiad.triton.endpoints import Endpoints
from naiad.triton.engine import Layout
from naiad.triton.exposure import Exposure
from naiad.triton.gate_process import GateProcess
from naiad.triton.hosts import reachable
from naiad.triton.kept_process import KeptProcess
from naiad.triton.log_entries import LogEvent
from naiad.triton.logs import to_logger
from naiad.triton.model_registry import ModelRegistry
from naiad.triton.observation import Observation
from naiad.triton.paths import plain_temporary_directory
from naiad.triton.ports import in_use
from naiad.triton.predecessor import await_predecessor
from naiad.triton.probing import ask_examples
from naiad.triton.process import TritonProcess
from naiad.triton.prometheus import Sample, total
from naiad.triton.reaper import Reaper, remove
from naiad.triton.selection import Selection
from naiad.triton.startup import PortTakenError, StuckError, not_loaded
from naiad.triton.supervisor import Supervisor
from naiad.triton.ui_process import UiProcess

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from naiad.triton.rebuild import Order
from naiad.triton.reloading import Reloading

_ATTEMPTS = 5  # at free ports, which others may take before Triton does
_POLL = 0.25  # seconds


class Server:
    """A Triton server on this machine, serving a model repository.

    Example::

        with naiad.Server("models", http_port=0, grpc_port=0, metrics_port=0) as server:
            outputs = server.client().infer("simple", INPUT0=a, INPUT1=b)

    It ends with the block, with :meth:`stop`, or with the process that started it, however that
    ends, and leaves no process, port, shared memory or temporary file behind.
    """

    @keywords(ServerOptions, ServeSettings)
    def __init__(
        self,
        *repositories: Path | str,
        probes: Mapping[str, Arrays] | None = None,
        temporary: Sequence[Path] = (),
        on_event: Callable[[LogEvent], None] | None = None,
        cpu: bool = False,
        **settings: Unpack[ServerOptions],
    ) -> None:
        """Take the models and settings; start nothing yet.

        Args:
            repositories: model repositories, at least one.
            probes: a request by model, which the model must answer before it counts as ready.
            temporary: files and folders that the server removes when it has ended.
            on_event: called with models' progress, warnings and errors, from this thread while the
                server starts and from another afterwards; by default they go to the logger
                ``naiad.triton``.
            cpu: run models that ask for a GPU on the CPU: Triton serves a copy of the repository,
                made of links, with changed configurations.
            settings: the fields of :class:`naiad.core.settings.ServeSettings`. A port of 0 or None
                means any free one. With a ``health_port`` or ``supervision`` the server is probed,
                and restarted if it dies. With model control ``explicit`` all models are loaded at
                the start unless ``load`` names some.
        """
        self._settings = settings_of(ServeSettings, settings)
        self._repositories = tuple(Path(repository).absolute() for repository in repositories)
        self._registry = ModelRegistry(self._repositories, probes or {})
        self._selection = Selection(self._repositories, self._settings, cpu=cpu)
        self._exposure = Exposure(self._settings)
        self._endpoints = Endpoints("127.0.0.1", {})
        self._temporary = tuple(temporary)
        self._on_event = on_event or to_logger
        self._supervision = self._settings.supervision
        if self._supervision is None and self._settings.health_port is not None:
            self._supervision = Supervision()
        self._supervisor: Supervisor | None = None
        self._process: TritonProcess | None = None
        self._beside: list[KeptProcess] = []
        self._observation = Observation(self._settings, self._on_event)
        self._log_path: Path | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._death = ""
        self._clients: list[Client] = []
        self.reloading: Reloading | None = None
        """Replaces models when their sources are edited; to be set before the start."""
        self.orders: Sequence[Order] = ()
        """How models that are of a file are written anew; to be set before the start."""
        self.keep_log = False
        """Whether a log among the temporary files is kept when the server stops."""
        self.failed: dict[str, str] = {}
        """Reasons why models did not load at the start, by name, if ``exit_on_error`` is False."""
        self.started_in: float = 0.0
        """Seconds from :meth:`start` until every model had answered."""

    def start(self) -> Server:
        """Start Triton and wait until every model is ready and has answered its probe.

        Raises:
            EngineError: Triton cannot run here or be downloaded, a port is in use, a model does not
                load or answer, or others could reach the server without a credential; says which
                and why.
            MissingExtra: the wheel with Envoy is not installed.
        """
        if self._process is not None:
            raise EngineError("this server is already running")
        began = time.perf_counter()
        try:
            check_settings(self._repositories, self._settings)
            self._exposure.check()
            layout = self._selection.lay_out()
            self._stopping.clear()
            self._ended.clear()
            self._death = ""
            await_predecessor(
                self._exposure.wanted()
                | {"health": (self._exposure.health_address, self._settings.health_port)},
                self._settings.exit_timeout,
                self._on_event,
            )
            if self._supervision is not None:
                self._supervisor = Supervisor(
                    self._supervision,
                    self._exposure.health_address,
                    self._settings.health_port,
                    self._on_event,
                    self.openapi,
                )
            self._observation.begin()
            self._process = self._launch(layout)
            self._registry.update(self._endpoints.index())
            if self.failed and not self.models and self._settings.model_control == "none":
                raise EngineError(f"{not_loaded(self.failed)}\nFull log: {self._log_path}")
            self._ask_probes()
            self._start_beside(self._process)
            if self._supervisor is not None:
                self._supervisor.share(self._observation.history, self._endpoints.control_key)
            if self._supervisor is not None and self._exposure.shares_metrics:
                gates = [one.metrics for one in self._beside if isinstance(one, GateProcess)]
                self._supervisor.share_metrics(
                    [self._endpoints.metrics_text, *gates], self._observation.exemplars
                )
            self._publish_card(self._process)
        except BaseException:
            self._abandon(keep_log=True)
            self._close_supervisor()
            self._observation.end()
            self._close_reloading()
            self._remove_temporary()
            raise
        self.started_in = time.perf_counter() - began
        if self._supervisor is not None:
            self._supervisor.watch(self)
        self._watcher = threading.Thread(
            target=self._watch, args=(self._process,), name="naiad-triton-watch", daemon=True
        )
        self._watcher.start()
        if self.reloading is not None:
            self.reloading.watch(self.client())
        return self

    def stop(self) -> None:
        """Accept no new requests, finish those in flight and end; do nothing if already ended."""
        self._end(Reaper.stop)

    def kill(self) -> None:
        """End now; in-flight requests get no answer."""
        self._end(Reaper.kill)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds until the server is stopped; return True if it is.

        Raises:
            EngineError: the server died.
        """
        ended = self._ended.wait(timeout)
        if self._death:
            raise EngineError(self._death)
        return ended

    def client(self) -> Client:
        """Return a new client of this server, closed when the server stops, or by you.

        It connects to Triton directly, behind a gate if there is one.
        """
        if self._process is None:
            raise EngineError("the server is not running")
        client = Client(self.own_url)
        self._clients.append(client)
        return client

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that are ready."""
        return self._registry.ready

    @property
    def missing(self) -> Mapping[str, str]:
        """Reasons why models are not ready that were served and not unloaded, by name."""
        return self._registry.missing

    @property
    def probes(self) -> dict[str, Arrays]:
        """Requests that the server has answered, by model."""
        return self._registry.probes

    def stuck(self, limit: float) -> str:
        """Return a message if a model is still unloading after ``limit`` seconds, or ""."""
        return self._registry.stuck(limit)

    def refresh(self) -> None:
        """Update the models that are ready; do nothing if models never change.

        Raises:
            EngineError: the server does not answer.
        """
        if self._settings.model_control != "none":
            self._registry.update(self._endpoints.index())

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI 3.1 document of the models, with the probes as examples.

        Raises:
            Unavailable: the server does not answer.
        """
        gate = self.gate
        secured = gate is not None and bool(gate.api_keys or gate.jwt_issuer)
        with Client(self.own_url, retries=0, timeout=10.0) as client:
            return models_document(
                client, self.models, self.probes, http_url=self.http_url, secured=secured
            )

    def metrics(self) -> list[Sample]:
        """Read all numbers of ``/metrics``."""
        return self._endpoints.metrics()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all samples with these labels; 0 if there are none."""
        return total(self.metrics(), name, labels)

    @property
    def grpc_url(self) -> str:
        """URL of gRPC, such as ``127.0.0.1:8001``."""
        return self._endpoints.grpc_url

    @property
    def http_url(self) -> str:
        """URL of HTTP, such as ``http://127.0.0.1:8000``."""
        return self._endpoints.http_url

    @property
    def own_url(self) -> str:
        """URL of Triton for this process: behind the gate, and without TLS."""
        return self._endpoints.own_url

    @property
    def gate(self) -> GateSettings | None:
        """The gate in front of the server, if there is one."""
        return self._exposure.gate

    @property
    def is_local(self) -> bool:
        """True if only this host can reach the server."""
        return not self._exposure.is_exposed

    @property
    def metrics_url(self) -> str:
        """URL of the metrics, such as ``http://127.0.0.1:8002/metrics``."""
        return self._endpoints.metrics_url

    @property
    def page_url(self) -> str:
        """URL of the page in the browser, such as ``http://127.0.0.1:7860/ui``; "" without one."""
        return self._endpoints.page_url

    @property
    def health_url(self) -> str | None:
        """URL for ``/livez`` and ``/readyz``, such as ``http://127.0.0.1:8003``, or None."""
        port = self._supervisor.health_port if self._supervisor is not None else None
        host = reachable(self._exposure.health_address)
        return f"http://{host}:{port}" if port is not None else None

    @property
    def pid(self) -> int | None:
        """Triton's process id, while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def log_path(self) -> Path | None:
        """Path of Triton's log."""
        return self._log_path

    def __repr__(self) -> str:
        """Return the addresses and the models."""
        return str(self._about())

    def _repr_html_(self) -> str:
        return self._about().html()

    def _about(self) -> About:
        running = self.pid is not None
        addresses: dict[str, str] = {}
        if running:
            addresses |= {"gRPC": self.grpc_url, "HTTP": self.http_url}
            addresses |= {"page": self.page_url} if self.page_url else {}
            addresses |= {"metrics": self.metrics_url}
        if running and self.health_url:
            addresses |= {"health": self.health_url}
        return About(
            running=running,
            addresses=addresses,
            models=self.models,
            missing=self.missing,
            log=self.log_path,
        )

    def __enter__(self) -> Server:
        """Start, unless already running."""
        return self if self._process is not None else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def _launch(self, layout: Layout) -> TritonProcess:
        """Start Triton on free ports; return when it is listening."""
        exposure, key = self._exposure, new_key()
        tls = asks_for_tls(self._settings.arguments)
        attempts = _ATTEMPTS if exposure.takes_free_ports else 1
        while True:
            attempts -= 1
            scratch = plain_temporary_directory("naiad-server-")
            self._endpoints = exposure.endpoints(scratch, key, grpc_tls=tls)
            repositories = self._selection.repositories(scratch)
            self._process = TritonProcess(
                layout,
                repositories,
                self._selection.settings,
                self._endpoints,
                scratch=scratch,
                temporary=[*self._temporary, *exposure.files(self._endpoints)],
                python=self.reloading.python if self.reloading is not None else None,
                linked=dict(zip(repositories, self._repositories, strict=True)),
                history=self._observation.path,
            )
            self._log_path = self._process.log_path
            try:
                refused = self._selection.refused
                failed = self._process.start(self._on_event, refused=refused)
            except StuckError as error:
                if self._settings.model_control == "poll":
                    raise
                self._selection.refuse(error.models)
                attempts += 1
            except PortTakenError as error:
                if attempts == 0 or not exposure.is_free(error.port):
                    uses = {port: use for use, port in self._endpoints.ports.items()}
                    use = uses.get(error.port, "Triton's")
                    raise EngineError(in_use(use, error.port)) from None
            else:
                # Not earlier: the port, and so the key for it, might be somebody else's.
                exposure.publish(self._endpoints, self._on_event)
                self.failed = refused | failed
                return self._process
            self._abandon(keep_log=False)

    def _start_beside(self, process: TritonProcess) -> None:
        """Start the page, and the gate in front of it and Triton."""
        ui, gate = self._settings.ui, self._exposure.gate
        common = (self._endpoints, process.scratch, self._on_event)
        if ui is not None:
            self._beside.append(UiProcess(ui, *common, self._exposure.ui_facts()))
        if gate is not None:
            note = self._supervisor.health.gate if self._supervisor else None
            collector = self._observation.collector
            self._beside.append(GateProcess(gate, *common, note, collector, ui=ui is not None))
        for one in self._beside:
            one.start()

    def _ask_probes(self) -> None:
        for model in self.models:
            try:
                ask_examples(self.own_url, [model], self.probes)
            except EngineError as error:  # noqa: PERF203 - one model's does not stop the others
                if exits_on_error(self._settings):
                    raise EngineError(f"{error}\nFull log: {self._log_path}") from error
                self.failed[model] = str(error)
                self._registry.probes.pop(model)

    def _watch(self, process: TritonProcess) -> None:
        """Pass on events of the log while the server runs, and notice when it dies."""
        supervisor = self._supervisor
        while not self._stopping.is_set():
            reason = process.poll(_POLL, self._note)
            if self._registry.changed and not reason:
                with contextlib.suppress(EngineError):
                    self.refresh()
            if supervisor is not None:
                died = bool(reason)
                reason = reason or supervisor.trouble(process.pid, self._registry.loading)
                if reason:
                    # Kill it, so that clients get an error now, unless they may still be answered.
                    drain = supervisor.patient and not died
                    process.end(Reaper.stop if drain else Reaper.kill)
                    reason = supervisor.mend(reason, lambda: self._restart(process), self)
            if reason:
                process.end(Reaper.kill)
                self._death = reason
                self._ended.set()
                self._on_event(LogEvent("error", self._death))
                return

    def _note(self, event: LogEvent) -> None:
        if self._registry.note(event):
            self._on_event(event)

    def _restart(self, process: TritonProcess) -> None:
        process.end(Reaper.kill)  # left from an earlier attempt
        self._registry.loading.clear()
        changes = self._settings.model_control != "none"
        again = self._registry.wanted if changes else None
        process.start(self._on_event, again=again)
        self.refresh()
        self._ask_probes()
        self._publish_card(process)

    def _publish_card(self, process: TritonProcess) -> None:
        self._exposure.publish_card(
            self._endpoints,
            process.pid or 0,
            self.health_url,
            self.orders,
            self._observation.path,
        )

    def _end(self, ask: Callable[[Reaper], None]) -> None:
        process, supervisor = self._process, self._supervisor
        if process is None:
            return
        self._stopping.set()
        if supervisor is not None:
            supervisor.retire()
            process.start_no_more()
            if supervisor.mending:
                process.abort()
        if self._watcher is not None:
            self._watcher.join()
        process.end(ask)
        self._process = None
        self._close_clients()
        self._end_beside()
        self._close_supervisor()  # and so the health port, for which a successor waits
        self._observation.end()
        self._close_reloading()
        process.remove_files(keep_log=self.keep_log or bool(self._death))
        self._remove_temporary()
        self._ended.set()

    def _abandon(self, *, keep_log: bool) -> None:
        """Undo :meth:`start`."""
        self._close_clients()
        self._end_beside()
        process, self._process = self._process, None
        if process is not None:
            process.end(Reaper.kill)
            process.remove_files(keep_log=keep_log)

    def _close_supervisor(self) -> None:
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None

    def _end_beside(self) -> None:
        while self._beside:
            self._beside.pop().end()

    def _close_reloading(self) -> None:
        if self.reloading is not None:
            self.reloading.close()

    def _close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def _remove_temporary(self) -> None:
        self._exposure.withdraw()
        for path in self._temporary:
            remove(path)
