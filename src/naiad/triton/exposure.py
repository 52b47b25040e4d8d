"""Addresses of a server, and who can reach them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from naiad.control_key import Place, key_path, publish_key
from naiad.core.settings import GateSettings, ServeSettings
from naiad.errors import EngineError
from naiad.server_card import ServerCard, card_path, publish_card
from naiad.triton.endpoints import Endpoints, TritonSockets
from naiad.triton.hosts import is_loopback, listening_address
from naiad.triton.log_entries import LogEvent
from naiad.triton.ports import choose_ports
from naiad.triton.reaper import remove
from naiad.triton.rebuild import Order
from naiad.triton.ui_process import check_ui

_LOOPBACK = "127.0.0.1"


class Exposure:
    """Decides the addresses of a server and the need for a gate."""

    def __init__(self, settings: ServeSettings) -> None:
        """Take the settings; resolve nothing yet."""
        self._settings = settings
        self._wanted = {
            "HTTP": settings.http_port,
            "gRPC": settings.grpc_port,
            "metrics": settings.metrics_port,
        }
        self._asked = settings.gate
        self._address = _LOOPBACK
        self._files: list[Path] = []

    def check(self) -> None:
        """Resolve the address, and check that strangers cannot use the server.

        Raises:
            EngineError: no such address, or invalid settings of the gate.
            MissingExtra: a gate is needed, but Envoy is not installed.
        """
        self._address = listening_address(self._settings.host)
        if (gate := self.gate) is not None:
            from naiad.gate import check, envoy

            check(gate, beyond_loopback=self.is_exposed)
            envoy()
        if self._settings.ui is not None:
            check_ui()

    @property
    def gate(self) -> GateSettings | None:
        """The gate in front; there is always one beyond loopback."""
        if self._asked is None and not is_loopback(self._address):
            return GateSettings()
        return self._asked

    @property
    def health_address(self) -> str:
        """The IP address of the health port."""
        return self._aside(self._settings.health_host)

    @property
    def shares_metrics(self) -> bool:
        """True if the health port may have the metrics: it reaches no further than theirs."""
        metrics = self._aside(self._settings.metrics_host)
        return is_loopback(self.health_address) or not is_loopback(metrics)

    @property
    def takes_free_ports(self) -> bool:
        """True if some port may be any free one."""
        return not all(self._wanted.values())

    def is_free(self, port: int) -> bool:
        """Return True if a port was chosen by us, not by the user."""
        return port not in self._wanted.values()

    def endpoints(self, scratch: Path, control_key: str, *, grpc_tls: bool) -> Endpoints:
        """Return the addresses of a server whose temporary files are in ``scratch``.

        Raises:
            EngineError: a port is in use.
        """
        gate = self.gate
        return Endpoints(
            self._address,
            choose_ports(self.wanted()),
            grpc_tls=grpc_tls,
            gate_tls=gate is not None and gate.tls_cert is not None,
            sockets=TritonSockets(scratch / "triton") if gate is not None else None,
            public_socket=gate.socket if gate is not None else None,
            control_key=control_key,
            metrics_address=self._aside(self._settings.metrics_host),
            ui=self._settings.ui is not None,
        )

    def wanted(self) -> dict[str, tuple[str, int | None]]:
        """Return the address and the wanted port of each use; 0 or None is any free port."""
        gate, metrics = self.gate, self._aside(self._settings.metrics_host)
        wanted = {
            use: (metrics if use == "metrics" else self._address, port)
            for use, port in self._wanted.items()
            if use == "metrics" or gate is None or gate.socket is None
        }
        if gate is not None and gate.port is not None and gate.socket is None:
            wanted["gate"] = (self._address, gate.port)
        if self._settings.ui is not None and gate is None:
            wanted["page"] = (self._address, self._settings.ui.ui_port)
        return wanted

    def ui_facts(self) -> dict[str, Any]:
        """Return what the page has to know of who may reach it."""
        gate = self.gate
        # With a credential, or by a socket, no other site's page gets here under its own name.
        trusted = gate is not None and (gate.has_credentials or gate.socket or self.is_exposed)
        return {
            "hosts": [] if trusted else ["localhost", "127.0.0.1", "[::1]", self._address],
            "secured": gate is not None and bool(gate.api_keys or gate.jwt_issuer),
            "origins": list(gate.cors) if gate is not None else [],
        }

    def publish(self, endpoints: Endpoints, on_event: Callable[[LogEvent], None]) -> None:
        """Write the control key where clients on this host find it."""
        try:
            self._files += publish_key(endpoints.control_key, _places(endpoints))
        except EngineError as error:
            on_event(
                LogEvent("warning", f"the control key: {error}; `naiad load` will not find it")
            )

    def publish_card(
        self,
        endpoints: Endpoints,
        pid: int,
        health_url: str | None,
        orders: Sequence[Order],
        history: str = "",
    ) -> None:
        """Write the server's card where commands on this host find it."""
        gate, ui = self.gate, self._settings.ui
        card = ServerCard(
            pid=pid,
            address=endpoints.address,
            ports=endpoints.ports,
            urls=endpoints.urls | ({"health": health_url} if health_url else {}),
            metrics_address=endpoints.metrics_address,
            health_address=self.health_address,
            model_control=self._settings.model_control,
            grpc_tls=endpoints.grpc_tls,
            gate=asdict(gate) if gate is not None else None,
            ui=asdict(ui) if ui is not None else None,
            history=history,
            python=sys.executable,
            directory=str(Path.cwd()),
            sources={order.name: asdict(order) for order in orders},
        )
        with contextlib.suppress(EngineError):  # already reported for the key
            self._files += publish_card(card, _places(endpoints))

    def withdraw(self) -> None:
        """Remove the files of the control key and the card."""
        while self._files:
            remove(self._files.pop())

    @staticmethod
    def files(endpoints: Endpoints) -> list[Path]:
        """Return the files for the control key and the card."""
        places = _places(endpoints)
        return [path(place) for place in places for path in (key_path, card_path)]

    @property
    def is_exposed(self) -> bool:
        """True if other hosts can reach the server."""
        socket = self._asked.socket if self._asked is not None else None
        return socket is None and not is_loopback(self._address)

    def _aside(self, host: str) -> str:
        """Return the address for ``host``, or loopback if it is empty."""
        if host:
            return listening_address(host)
        return self._address if is_loopback(self._address) else _LOOPBACK


def _places(endpoints: Endpoints) -> list[Place]:
    """Return the ports and sockets at which clients on this host reach the server."""
    places: list[Place] = [
        port for use, port in endpoints.ports.items() if use not in ("metrics", "page")
    ]
    own = endpoints.sockets.grpc if endpoints.sockets is not None else None
    return places + [socket for socket in (endpoints.public_socket, own) if socket is not None]
