"""Health of a server, and the port that reports it to Kubernetes, Prometheus and the like.

With the control key the port also tells of the last requests.
"""

from __future__ import annotations

import hmac
import http.server
import json
import socketserver
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

from naiad.control_key import HTTP_HEADER
from naiad.errors import EngineError, NaiadError
from naiad.triton.history import History
from naiad.triton.hosts import family
from naiad.triton.ports import in_use, not_allowed
from naiad.triton.scrape import METRICS_PATH, Scrape

Json: TypeAlias = "dict[str, Any]"

REQUESTS_PATH: Final = "/requests"
"""Path of the last requests: ``?id=ID``, or ``?last=NUMBER``."""

State = Literal["starting", "serving", "restarting", "stopping", "failed"]


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """Result of the last probe of a model.

    Attributes:
        ready: True if it answers.
        reason: why it does not, or "".
        at: time of the probe, on the monotonic clock.
    """

    ready: bool
    reason: str
    at: float


class Health:
    """Health of a server and its models; thread-safe."""

    def __init__(self, patience: float) -> None:
        """Begin without findings; those older than ``patience`` seconds no longer count."""
        self._patience = patience
        self._state: State = "starting"
        self._reason = ""
        self._restarts = 0
        self._models: dict[str, ModelHealth] = {}
        self._gate: str | None = None
        self._lock = threading.Lock()

    def gate(self, reason: str) -> None:
        """Record that a gate stands in front, and why no request gets through it, or ""."""
        with self._lock:
            self._gate = reason

    @property
    def state(self) -> State:
        """State of the server."""
        return self._state

    def serving(self, models: Iterable[str], *, now: float | None = None) -> None:
        """Record that all ``models`` have just answered."""
        at = time.monotonic() if now is None else now
        with self._lock:
            self._state, self._reason = "serving", ""
            self._models = {model: ModelHealth(True, "", at) for model in models}

    def found(self, model: str, reason: str, *, now: float | None = None) -> None:
        """Record a probe of a model: the reason why it cannot answer, or ""."""
        at = time.monotonic() if now is None else now
        with self._lock:
            self._models[model] = ModelHealth(not reason, reason, at)

    def keep(self, models: Collection[str]) -> None:
        """Forget all other models: they were unloaded."""
        with self._lock:
            self._models = {name: m for name, m in self._models.items() if name in models}

    def restarting(self, reason: str) -> None:
        """Record that the server is down and being restarted."""
        with self._lock:
            self._state, self._reason = "restarting", reason
            self._restarts += 1

    def drains(self, reason: str) -> None:
        """Record that the server finishes in-flight requests and will be restarted."""
        with self._lock:
            self._state, self._reason = "restarting", reason

    def ends(self, state: Literal["stopping", "failed"], reason: str = "") -> None:
        """Record that the server has ended for good."""
        with self._lock:
            self._state, self._reason = state, reason

    def live(self) -> bool:
        """Return True if the server serves or will recover; if not, it must be started anew."""
        return self._state != "failed"

    def report(self, *, now: float | None = None) -> dict[str, Any]:
        """Return a report for JSON: ``ready``, ``state``, ``reason``, ``restarts``, ``models``.

        Each of ``models`` has ``ready``, ``reason`` and ``age``, the seconds since its probe. If a
        gate stands in front, ``gate`` has ``ready`` and ``reason``.
        """
        at = time.monotonic() if now is None else now
        with self._lock:
            models = {name: self._told(model, at) for name, model in self._models.items()}
            answers = self._state == "serving" and all(m["ready"] for m in models.values())
            report: dict[str, Any] = {
                "ready": answers and not self._gate,
                "state": self._state,
                "reason": self._reason,
                "restarts": self._restarts,
                "models": models,
            }
            if self._gate is not None:
                report["gate"] = {"ready": not self._gate, "reason": self._gate}
            return report

    def _told(self, model: ModelHealth, now: float) -> dict[str, Any]:
        age = round(now - model.at, 1)
        ready, reason = model.ready, model.reason
        if self._state != "serving":
            ready, reason = False, reason or f"the server is {self._state}"
        elif ready and age > self._patience:
            ready, reason = False, f"it last answered {age:.0f} s ago"
        return {"ready": ready, "reason": reason, "age": age}


class HealthEndpoint:
    """``/livez`` and ``/readyz`` over HTTP: 200 or 503, with the report as JSON.

    And ``/openapi.json``, the document of the models that are served, and ``/metrics``.
    """

    def __init__(
        self,
        health: Health,
        host: str,
        port: int,
        openapi: Callable[[], Json] | None = None,
    ) -> None:
        """Answer at ``host`` and ``port`` (0: any free one) in separate threads.

        Raises:
            EngineError: the port is in use, or this user may not use it.
        """
        listener = type("_Listener", (_Listener,), {"address_family": family(host)})
        try:
            self._listener: _Listener = listener((host, port), _Handler)
        except PermissionError as error:
            raise EngineError(not_allowed(port, error)) from None
        except OSError:
            raise EngineError(in_use("health", port)) from None
        self._listener.health = health
        self._listener.openapi = openapi
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.1,), name="naiad-health", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.server_address[1]

    def share(self, history: History, control_key: str) -> None:
        """Answer questions about the history to those with the key."""
        self._listener.history, self._listener.control_key = history, control_key

    def share_metrics(self, scrape: Scrape) -> None:
        """Answer ``/metrics`` from now on."""
        self._listener.scrape = scrape

    def close(self) -> None:
        """Stop answering."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


class _Listener(socketserver.ThreadingTCPServer):
    # Unlike http.server's own, it does not look up the host's name before it listens.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    health: Health
    openapi: Callable[[], Json] | None = None
    history: History | None = None
    control_key = ""
    scrape: Scrape | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore probers that hang up early."""


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = 5  # maximum seconds for a prober to send its request
    server: _Listener  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        health = self.server.health
        report = health.report()
        if self.path in ("/readyz", "/readyz/"):
            self._answer(_status(report["ready"]), report)
        elif self.path in ("/livez", "/livez/"):
            live = health.live()
            self._answer(
                _status(live), {"live": live, **{k: report[k] for k in ("state", "reason")}}
            )
        elif urlsplit(self.path).path == REQUESTS_PATH:
            self._tell_requests()
        elif self.path == "/openapi.json" and self.server.openapi is not None:
            try:
                self._answer(HTTPStatus.OK, self.server.openapi())
            except NaiadError as error:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})
        elif self.path == METRICS_PATH and self.server.scrape is not None:
            kind, text = self.server.scrape.answer(self.headers.get("Accept", ""))
            self._send(HTTPStatus.OK, kind, text.encode())
        else:
            metrics = f", {METRICS_PATH}" if self.server.scrape is not None else ""
            explain = f"the paths are /livez, /readyz{metrics}, /requests and /openapi.json"
            self.send_error(HTTPStatus.NOT_FOUND, explain=explain)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _tell_requests(self) -> None:
        history, key = self.server.history, self.server.control_key
        given = self.headers.get(HTTP_HEADER, "")
        if not key or not hmac.compare_digest(given.encode(), key.encode()):
            self._answer(HTTPStatus.FORBIDDEN, {"error": f"{HTTP_HEADER} is not the control key"})
            return
        asked = parse_qs(urlsplit(self.path).query)
        wanted, last = asked.get("id", [None])[0], asked.get("last", ["1"])[0]
        if history is None or not last.isdecimal():
            error = f"last={last} is no number" if history else "the server keeps no history"
            self._answer(HTTPStatus.BAD_REQUEST, {"error": error})
            return
        found = history.find(wanted) if wanted is not None else history.last(int(last))
        self._answer(HTTPStatus.OK, asdict(found))

    def _answer(self, status: HTTPStatus, report: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(report, indent=1).encode() + b"\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Do not log probes, which come every few seconds."""


def _status(good: bool) -> HTTPStatus:
    return HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
