"""Senders of prepared requests to each kind of server, for the load generator."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import aiohttp
import numpy as np
from benchmarks.peers.codec import Arrays, pack, unpack
from benchmarks.peers.servers import BINARY
from benchmarks.peers.systems import System

from naiad.bench.target import payload
from naiad.client.address import Address
from naiad.client.aio import open_transport
from naiad.client.deadline import Deadline
from naiad.client.transport import InferRequest, Tls
from naiad.errors import DeadlineExceeded, PipelineError, Unavailable

_TIMEOUT = 60.0  # seconds


class Sender(Protocol):
    """A server with requests that are ready to send; to be used in one event loop."""

    async def answer(self, number: int) -> Arrays:
        """Send request ``number`` (they repeat); return the arrays of its answer.

        Raises:
            NaiadError: no answer, or an error.
        """
        ...

    async def send(self, number: int) -> tuple[int, int]:
        """Do the same; return the bytes of the arrays, out and in."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def open_sender(system: System, port: int, model: str, requests: Sequence[Arrays]) -> Sender:
    """Return the sender for a system that listens at ``port``."""
    if system.protocol == "body":
        return BodySender(f"http://127.0.0.1:{port}{system.path}", requests)
    return TensorSender(system, port, model, requests)


def wrapped(system: System, arrays: Arrays) -> Arrays:
    """Return the tensors that a system takes for a request."""
    if system.protocol == "tensors":
        return arrays
    if system.protocol == "ragged":
        return {name: array[None] for name, array in arrays.items()}
    shape = (1, 1) if system.protocol == "packed" else (1,)
    return {"request": np.array([pack(arrays)], object).reshape(shape)}


def unwrapped(system: System, arrays: Arrays) -> Arrays:
    """Return the answer in the tensors that a system returns."""
    if system.protocol == "tensors":
        return arrays
    if system.protocol == "ragged":
        return {name: array[0] for name, array in arrays.items()}
    return unpack(arrays["answer"].flat[0])


class TensorSender:
    """Sender over gRPC, by the KServe protocol."""

    def __init__(self, system: System, port: int, model: str, requests: Sequence[Arrays]) -> None:
        """Pack the requests."""
        self._system = system
        address = Address.parse(f"grpc://127.0.0.1:{port}")
        self._transport = open_transport(address, Tls(), {})
        self._sent = [payload(arrays) for arrays in requests]
        self._calls = [
            self._transport.infer(
                InferRequest(model, wrapped(system, arrays), None, {}, "", _TIMEOUT)
            )
            for arrays in requests
        ]

    async def answer(self, number: int) -> Arrays:
        """Send over gRPC."""
        call = self._calls[number % len(self._calls)]
        tensors = await self._transport.send(call, Deadline.after(_TIMEOUT))
        return unwrapped(self._system, tensors)

    async def send(self, number: int) -> tuple[int, int]:
        """Send over gRPC."""
        return self._sent[number % len(self._sent)], payload(await self.answer(number))

    async def close(self) -> None:
        """Close the channel."""
        await self._transport.close()


class BodySender:
    """Sender of bodies over HTTP, each client by a connection that is kept."""

    def __init__(self, url: str, requests: Sequence[Arrays]) -> None:
        """Pack the requests."""
        self._url = url
        self._bodies = [pack(arrays) for arrays in requests]
        self._sent = [payload(arrays) for arrays in requests]
        self._opened: aiohttp.ClientSession | None = None

    async def answer(self, number: int) -> Arrays:
        """POST a body."""
        body = self._bodies[number % len(self._bodies)]
        try:
            async with self._session.post(self._url, data=body) as reply:
                content = await reply.read()
        except asyncio.TimeoutError:
            raise DeadlineExceeded(f"{self._url}: no answer in {_TIMEOUT:.0f} s") from None
        except aiohttp.ClientError as error:
            raise Unavailable(f"{self._url}: {error}") from error
        if reply.status != 200:
            raise PipelineError(f"{self._url}: {reply.status} {content[:500]!r}")
        return unpack(content)

    async def send(self, number: int) -> tuple[int, int]:
        """POST a body."""
        return self._sent[number % len(self._sent)], payload(await self.answer(number))

    async def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:  # it belongs to the running loop
            self._opened = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
                headers={"Content-Type": BINARY},
            )
        return self._opened
