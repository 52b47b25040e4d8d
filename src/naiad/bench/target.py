"""A served model with requests that are ready to send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from naiad.client.access import NO_ACCESS, Access
from naiad.client.address import Address
from naiad.client.aio import open_transport
from naiad.client.checks import checked_inputs
from naiad.client.deadline import Deadline
from naiad.client.spec import ModelSpec
from naiad.client.transport import Arrays, Call, InferRequest


class Target:
    """Sender of prepared requests, in turn and without retries.

    Checks, conversions and packing are done once, so that the generator's own work per request is
    to send it and decode the answer. Use it in one event loop only, that of the first request.
    """

    def __init__(
        self,
        address: Address,
        spec: ModelSpec,
        requests: Iterable[Arrays],
        timeout: float = 30.0,
        access: Access = NO_ACCESS,
    ) -> None:
        """Prepare the requests, each with a timeout in seconds.

        Raises:
            InvalidInput: a request does not suit the model; says why.
        """
        tls, headers = access.tls_to(address), access.headers_to(address)
        self._transport = open_transport(address, tls, headers)
        self._timeout = timeout
        self._calls: list[Call[int]] = []
        self._sent: list[int] = []
        for arrays in requests:
            checked = checked_inputs(spec, arrays)
            call = self._transport.infer(InferRequest(spec.name, checked, None, {}, "", timeout))
            self._calls.append(_counting(call))
            self._sent.append(payload(checked))

    async def send(self, number: int) -> tuple[int, int]:
        """Send request ``number`` (they repeat); return the bytes of its tensors, out and in."""
        place = number % len(self._calls)
        received = await self._transport.send(self._calls[place], Deadline.after(self._timeout))
        return self._sent[place], received

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()


def payload(arrays: Arrays) -> int:
    """Return the bytes of the tensors in transit, without their names and shapes."""
    return sum(
        sum(4 + len(element) for element in array.flat)
        if array.dtype == np.object_
        else array.nbytes
        for array in arrays.values()
    )


def _counting(call: Call[Arrays]) -> Call[Any]:
    return replace(call, read=lambda reply: payload(call.read(reply)))  # pyright: ignore[reportArgumentType]
