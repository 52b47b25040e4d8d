"""Transports: the protocol of calls to a server, and the methods that send them.

`Calls` knows the protocol and does no input or output: each method returns a `Call`, which has the
request and the reader of its reply. `Transport` and `AsyncTransport` add the one method that sends,
so the blocking and the asyncio client share all but that method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from numpy.typing import NDArray

from naiad.client import wire
from naiad.client.address import Address
from naiad.client.deadline import Deadline
from naiad.errors import InvalidInput, Unavailable

T = TypeVar("T")

Parameter: TypeAlias = "str | int | bool | float"
Arrays: TypeAlias = "dict[str, NDArray[Any]]"
Json: TypeAlias = "dict[str, Any]"

LARGEST: Final = 2**31 - 1
"""Most bytes of a request: protobuf's limit, of which gRPC only says that it cannot be serialised.
Triton 2.51 counts those of an HTTP request in 32 bits, and misreads a longer one."""
_HEAD: Final = 1 << 20  # of these, for names, shapes and parameters

_NOBODY = "no server answers"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One exchange: the request, in the form of its transport, and the reader of the reply.

    With ``control`` it carries the server's control key, if one is found.
    """

    request: Any
    read: Callable[[Any], T]
    control: bool = False


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request that fits its model: arrays of the right dtypes and shapes, by tensor name.

    ``timeout`` is in seconds; the server does not begin the request later. ``version`` is the
    model's; without one the server takes the newest that it serves.
    """

    model: str
    arrays: Mapping[str, NDArray[Any]]
    outputs: Sequence[str] | None
    parameters: Mapping[str, Parameter]
    id: str
    timeout: float
    version: str = ""

    @property
    def microseconds(self) -> int:
        """The timeout in microseconds, at most 31 years: Triton counts nanoseconds in 64 bits."""
        return math.ceil(min(self.timeout * 1e6, 1e15))

    def check_size(self, carrier: str) -> None:
        """Check that ``carrier``, a protocol, can carry the request; nothing is copied for that.

        Raises:
            InvalidInput: it is too large; says which tensor is the largest, and what to do.
        """
        sizes = {name: wire.packed_size(array) for name, array in self.arrays.items()}
        total = sum(sizes.values())
        if total + _HEAD > LARGEST:
            most = max(sizes, key=sizes.__getitem__)
            raise InvalidInput(
                f"the request has {total:,} bytes ({most}: {sizes[most]:,}); {carrier} carries "
                "less than 2 GiB. Send it in smaller requests, which the server merges; or, on the "
                "server's machine, through shared memory (docs/cpp.md, or tritonclient's)"
            )


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of the server's repository; ``state`` is READY, LOADING, UNLOADING or UNAVAILABLE."""

    name: str
    version: str
    state: str
    reason: str = ""

    @property
    def ready(self) -> bool:
        """Whether the model takes requests."""
        return self.state == "READY"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the authority to trust (default: the system's), and a client's own identity."""

    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None


class Calls(Protocol):
    """The calls of the KServe v2 protocol, with Triton's extensions."""

    def infer(self, request: InferRequest) -> Call[Arrays]:
        """Ask for an inference."""
        ...

    def ready(self, model: str | None) -> Call[bool]:
        """Ask whether the server, or one model, is ready."""
        ...

    def models(self) -> Call[tuple[ModelInfo, ...]]:
        """Ask for the models of the repository."""
        ...

    def metadata(self, model: str | None) -> Call[Json]:
        """Ask for the metadata of the server, or of one model."""
        ...

    def config(self, model: str) -> Call[Json]:
        """Ask for a model's configuration."""
        ...

    def statistics(self, model: str | None) -> Call[Json]:
        """Ask for the statistics of all models, or of one."""
        ...

    def load(self, model: str) -> Call[None]:
        """Ask to load or reload a model."""
        ...

    def unload(self, model: str) -> Call[None]:
        """Ask to unload a model."""
        ...


class Transport(Calls, Protocol):
    """Blocking transport; safe to use from several threads at once."""

    def send(self, call: Call[T], deadline: Deadline) -> T:
        """Return the answer to ``call``, or raise one of Naiad's errors, by the ``deadline``."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class AsyncTransport(Calls, Protocol):
    """Asyncio transport, with connections of its own in each event loop."""

    async def send(self, call: Call[T], deadline: Deadline) -> T:
        """Return the answer to ``call``, or raise one of Naiad's errors, by the ``deadline``."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def unreachable(address: Address, reason: str) -> str:
    """Return the message for a server that cannot be reached."""
    where = "with this --socket" if address.socket else "on this port"
    return f"{_NOBODY} at {address} ({reason}); is `naiad serve` running, and {where}?"


def is_unreachable(error: Unavailable) -> bool:
    """Return whether nobody listens at the address, so that a server must be started."""
    return str(error).startswith(_NOBODY)


def lost(address: Address, reason: object) -> str:
    """Return the message for a connection that ended before the answer arrived."""
    return f"the connection to {address} was lost: {reason}"
