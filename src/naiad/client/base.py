"""What the blocking and the asyncio client have in common: settings, and what each call needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from numpy.typing import ArrayLike

from naiad.client import checks, steps
from naiad.client.address import Address
from naiad.client.deadline import Deadline
from naiad.client.spec import ModelSpec
from naiad.client.steps import Steps
from naiad.client.transport import Arrays, Calls, Json, ModelInfo, Parameter, Tls
from naiad.errors import InvalidInput

C = TypeVar("C", bound=Calls)


def tls_files(
    address: Address,
    ca_certificate: str | Path | None,
    certificate: str | Path | None,
    private_key: str | Path | None,
) -> Tls:
    """Return the PEM files to use with ``address``.

    Raises:
        InvalidInput: for files with a URL that is not encrypted, a file that is not there, or a
            client certificate without its key (or the reverse).
    """
    given = [Path(path) if path else None for path in (ca_certificate, certificate, private_key)]
    if any(given) and not address.tls:
        secure = "grpcs" if address.is_grpc else "https"
        raise InvalidInput(f"{address} is not encrypted, yet has certificates: use {secure}://")
    for path in given:
        if path and not path.is_file():
            raise InvalidInput(f"{path}: no such file")
    if bool(certificate) != bool(private_key):
        raise InvalidInput("certificate and private_key belong together: give both or none")
    return Tls(*given)


class ClientBase(Generic[C]):
    """Settings of a client, its transport, and what it has learned of the server's models."""

    def __init__(self, address: Address, transport: C, timeout: float, retries: int) -> None:
        """Check and keep the settings."""
        Deadline.after(timeout)
        if retries < 0:
            raise InvalidInput(f"retries is {retries}; it must be 0 or more")
        self._address = address
        self._transport = transport
        self._timeout = timeout
        self._retries = retries
        self._specs: dict[str, ModelSpec] = {}

    def __repr__(self) -> str:
        """Return the class and the server's address."""
        return f"{type(self).__name__}('{self._address}')"

    @property
    def url(self) -> str:
        """The server's address."""
        return str(self._address)

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline.after(self._timeout if timeout is None else timeout)

    def _infer(
        self,
        model: str,
        arrays: Mapping[str, ArrayLike] | None,
        tensors: Mapping[str, ArrayLike],
        outputs: Sequence[str] | None,
        parameters: Mapping[str, Parameter] | None,
        request_id: str,
        timeout: float | None,
        version: int | None,
    ) -> Steps[Arrays]:
        return steps.infer(
            self._transport,
            self._address,
            self._specs,
            model,
            checks.merged(arrays, tensors),
            outputs,
            parameters,
            request_id,
            self._timeout if timeout is None else timeout,
            version,
        )

    def _ready(self, model: str | None) -> Steps[bool]:
        return steps.ready(self._transport, model)

    def _models(self) -> Steps[tuple[ModelInfo, ...]]:
        return steps.ask(self._transport.models())

    def _load(self, model: str) -> Steps[None]:
        return steps.control(self._transport, self._address, model, self._transport.load(model))

    def _unload(self, model: str) -> Steps[None]:
        return steps.control(self._transport, self._address, model, self._transport.unload(model))

    def _metadata(self, model: str | None) -> Steps[Json]:
        call = self._transport.metadata(model)
        return (
            steps.about(self._transport, self._address, model, call) if model else steps.ask(call)
        )

    def _config(self, model: str) -> Steps[Json]:
        return steps.about(self._transport, self._address, model, self._transport.config(model))

    def _statistics(self, model: str | None) -> Steps[Json]:
        call = self._transport.statistics(model)
        return (
            steps.about(self._transport, self._address, model, call) if model else steps.ask(call)
        )
