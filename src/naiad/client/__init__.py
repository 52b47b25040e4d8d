"""Clients of a served model, blocking and asyncio, over gRPC and HTTP; without torch."""

from __future__ import annotations

from naiad.client.aio import AsyncClient, AsyncModelClient
from naiad.client.client import Client, ModelClient
from naiad.client.transport import ModelInfo

__all__ = [
    "AsyncClient",
    "AsyncModelClient",
    "Client",
    "ModelClient",
    "ModelInfo",
]
