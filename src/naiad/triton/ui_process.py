"""The process of the page and the tasks over HTTP, beside Triton."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from naiad.core.settings import UiSettings
from naiad.errors import EngineError, MissingExtra
from naiad.triton.endpoints import Endpoints
from naiad.triton.hosts import family
from naiad.triton.kept_process import KeptProcess
from naiad.triton.log_entries import LogEvent
from naiad.triton.ports import in_use, is_free

_PACKAGES: Final = ("fastapi", "uvicorn", "multipart")
# A module in the working directory must not shadow another.
_SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []


class UiProcess(KeptProcess):
    """`naiad.ui`, a client of one Triton: on a port of loopback, or behind the gate."""

    called = "the page"
    longest_start = 60.0

    def __init__(
        self,
        settings: UiSettings,
        endpoints: Endpoints,
        scratch: Path,
        on_event: Callable[[LogEvent], None],
        facts: Mapping[str, Any],
    ) -> None:
        """Take the settings; ``facts`` are further fields of `naiad.ui.process.Order`."""
        super().__init__(scratch / "ui.log", on_event)
        self._endpoints = endpoints
        sockets = endpoints.sockets
        self._socket = sockets.ui if sockets is not None else None
        self._order: dict[str, Any] = {
            "url": endpoints.own_url,
            "public_url": endpoints.grpc_url,
            "http_url": endpoints.http_url if sockets is None else "/",
            "max_bytes": settings.max_upload_mb * 1_000_000,
            "socket": "" if self._socket is None else str(self._socket),
            "host": endpoints.address,
            "port": endpoints.ports.get("page", 0),
            **facts,
        }

    def command(self) -> Sequence[str]:
        """Return the command line; it has no secret."""
        port = self._order["port"]
        if self._socket is None and not is_free(self._endpoints.address, port):
            raise EngineError(in_use("page", port))
        module = ["-m", "naiad.ui.process", json.dumps(self._order)]
        return [sys.executable, *_SAFE_PATH, *module]

    def is_ready(self) -> bool:
        """Return whether it is listening."""
        address: Any = str(self._socket)
        kind = socket.AF_UNIX
        if self._socket is None:
            address, kind = (self._endpoints.address, self._order["port"]), None
        with socket.socket(kind or family(self._endpoints.address)) as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(address) == 0

    @property
    def files(self) -> Sequence[Path]:
        """The Unix socket behind the gate."""
        return [self._socket] if self._socket is not None else []


def check_ui() -> None:
    """Check that the page can be served.

    Raises:
        MissingExtra: a package of the extra ``ui`` is not installed.
    """
    for package in _PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra("ui", "python-multipart" if package == "multipart" else package)
