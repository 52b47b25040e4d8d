"""Naiad: graph models and raw-data pipelines on NVIDIA Triton.

Everything a user needs is here; names are imported when they are first used, so that a client
does not pay for the server, nor either of them for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from naiad.client import AsyncClient, Client
    from naiad.core.budget import Budget
    from naiad.core.merging import Batch
    from naiad.core.pipeline import Pipeline, Request
    from naiad.core.schema import Tensor
    from naiad.core.settings import EngineSettings, GateSettings, UiSettings
    from naiad.errors import InvalidInput, NaiadError, PipelineError, Unavailable
    from naiad.geometric.pipeline import pyg
    from naiad.triton.repository import export
    from naiad.triton.server import Server
    from naiad.triton.serving import serve

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "Batch",
    "Budget",
    "Client",
    "EngineSettings",
    "GateSettings",
    "InvalidInput",
    "NaiadError",
    "Pipeline",
    "PipelineError",
    "Request",
    "Server",
    "Tensor",
    "UiSettings",
    "Unavailable",
    "__version__",
    "export",
    "pyg",
    "serve",
]

_HOMES = {
    "AsyncClient": "naiad.client",
    "Batch": "naiad.core.merging",
    "Budget": "naiad.core.budget",
    "Client": "naiad.client",
    "EngineSettings": "naiad.core.settings",
    "GateSettings": "naiad.core.settings",
    "InvalidInput": "naiad.errors",
    "NaiadError": "naiad.errors",
    "Pipeline": "naiad.core.pipeline",
    "PipelineError": "naiad.errors",
    "Request": "naiad.core.pipeline",
    "Server": "naiad.triton.server",
    "Tensor": "naiad.core.schema",
    "UiSettings": "naiad.core.settings",
    "Unavailable": "naiad.errors",
    "export": "naiad.triton.repository",
    "pyg": "naiad.geometric.pipeline",
    "serve": "naiad.triton.serving",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'naiad' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
