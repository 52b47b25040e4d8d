"""The gate: configuration, keys and certificates of the Envoy in front of Triton.

:func:`check` refuses settings that are wrong or would let strangers in; :func:`write` writes
Envoy's configuration and returns its command line; :func:`refresh` makes Envoy reload changed keys
and certificates; :func:`is_ready`, :func:`state`, :func:`statistics` and :func:`drain` talk to the
process.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naiad.core.settings import GateSettings
    from naiad.gate.bootstrap import Listeners, Upstream
    from naiad.gate.checks import check
    from naiad.gate.process import drain, envoy, is_ready, refresh, state, statistics, write

__all__ = [
    "GateSettings",
    "Listeners",
    "Upstream",
    "check",
    "drain",
    "envoy",
    "is_ready",
    "refresh",
    "state",
    "statistics",
    "write",
]

# Imported on access: the settings are read with every command.
_HOMES = {
    "GateSettings": "naiad.core.settings",
    "Listeners": "naiad.gate.bootstrap",
    "Upstream": "naiad.gate.bootstrap",
    "check": "naiad.gate.checks",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "naiad.gate.process")), name)
