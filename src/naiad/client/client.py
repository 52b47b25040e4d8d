"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from numpy.typing import ArrayLike
from tenacity import Retrying

from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.base import ClientBase, connect
from naiad.client.deadline import Deadline
from naiad.client.model import ModelClient
from naiad.client.operations import Operation
from naiad.client.ordered_map import ask_many
from naiad.client.retry import policy
from naiad.client.transport import Arrays, Call, Json, ModelInfo, Parameter, Tls, Transport
from naiad.errors import NaiadError

T = TypeVar("T")


class Client(ClientBase[Transport]):
    """Asks a Triton server; safe to share between threads.

    Example::

        with naiad.Client("localhost:8001") as client:
            answer = client.infer("simple", INPUT0=a, INPUT1=b)
            answer["OUTPUT0"]

    Every call ends within ``timeout`` seconds, with an answer or one of `naiad.errors`:
    `InvalidInput` (found by the client before anything is sent, or by the server),
    `ModelNotFound`, `NotAllowed`, `Unavailable` (only after further tries, with growing waits
    between them), `DeadlineExceeded`, or `PipelineError` for a failure inside the server.

    Further tries go on until the call's time is up, so that no request is lost to a server that is
    restarted meanwhile. Only a server that has never answered this client is given up after three,
    so that a wrong port is found within seconds.

    Of several servers, one that is unavailable is left out for growing times, and its request is
    sent to the next one at once: a wait comes only after all were tried.

    ``client.NAME`` is the model ``NAME``: the typed client of its application where Naiad has
    one (``client.nugraph3``), else a `ModelClient`.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "localhost:8001",
        *,
        timeout: float = 60.0,
        retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        api_key: str | None = None,
        ca: str | Path | None = None,
        certificate: str | Path | None = None,
        private_key: str | Path | None = None,
    ) -> None:
        """Prepare to talk to the server or servers at ``url``; nothing is sent yet.

        Args:
            url: ``host:port`` or ``grpc://host:port`` for gRPC, ``http://host:port`` for HTTP;
                ``grpcs://`` and ``https://`` are encrypted; ``unix:PATH`` is gRPC over a Unix
                socket. Several servers of the same models, in a sequence or with commas between
                them, are asked in turn.
            timeout: seconds that each call may take, tries and waits included.
            retries: how often a call is tried again while the server is unavailable; of several,
                while all are. Default: see the class.
            headers: sent with each call, such as an access token.
            api_key: sent with each call, and to no other machine unencrypted; default: that in
                ``NAIAD_API_KEY``.
            ca: PEM file of the authority to trust; default: the one that ``NAIAD_CA`` names, else
                the system's (HTTP) or gRPC's own.
            certificate: PEM file of this client's certificate, if the server wants one.
            private_key: PEM file of its key.

        Raises:
            InvalidInput: for a URL or a setting that cannot be.
        """
        access = Access(
            headers=headers or {},
            api_key=api_key,
            ca=ca,
            certificate=certificate,
            private_key=private_key,
        )
        super().__init__(connect(url, open_transport, access), timeout, retries)

    def infer(
        self,
        model: str,
        arrays: Mapping[str, ArrayLike] | None = None,
        /,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        request_id: str = "",
        timeout: float | None = None,
        version: int | None = None,
        **tensors: ArrayLike,
    ) -> Arrays:
        """Return the model's outputs by name, as arrays of their own memory.

        Args:
            model: name of the model.
            arrays: inputs by name; needed for names that are no Python keywords of this method.
            outputs: names of the outputs to return; default: all.
            parameters: request parameters, as the model understands them.
            request_id: comes back in the server's log.
            timeout: seconds, instead of the client's. The server is told too, so that it does not
                begin what nobody waits for any more.
            version: of the model; default: the newest that is served.
            **tensors: inputs by name, beside or instead of ``arrays``. Lists and other dtypes
                are converted when nothing is lost; BYTES tensors take ``str`` and ``bytes`` and
                give ``bytes``, in arrays of dtype ``object``.

        Raises:
            InvalidInput: naming the tensor that the model does not take as it is.
            NaiadError: see the class.
        """
        steps = self._infer(
            model, arrays, tensors, outputs, parameters, request_id, timeout, version
        )
        return self._run(steps, timeout)

    @overload
    def infer_many(
        self,
        model: str,
        requests: Iterable[Mapping[str, ArrayLike]],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Arrays]: ...

    @overload
    def infer_many(
        self,
        model: str,
        requests: Iterable[Mapping[str, ArrayLike]],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["return"],
    ) -> Iterator[Arrays | NaiadError]: ...

    def infer_many(
        self,
        model: str,
        requests: Iterable[Mapping[str, ArrayLike]],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | None = None,
        concurrency: int = 8,
        progress: bool = False,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Arrays | NaiadError]:
        """Yield the answer to each of ``requests``, in order, several under way at once.

        Requests are taken from the iterable as they are needed, so it may be endless.

        Args:
            model: name of the model.
            requests: inputs by name, one mapping per request.
            outputs: names of the outputs to return; default: all.
            parameters: request parameters, the same for all.
            timeout: seconds per request, instead of the client's.
            version: of the model; default: the newest that is served.
            concurrency: how many requests are under way at once.
            progress: show a progress bar on standard error.
            on_error: "raise" ends at the first request that fails; "return" yields its error in
                its place and goes on.
        """

        def ask(arrays: Mapping[str, ArrayLike]) -> Arrays:
            return self.infer(
                model,
                arrays,
                outputs=outputs,
                parameters=parameters,
                timeout=timeout,
                version=version,
            )

        return ask_many(
            ask,
            requests,
            label=model,
            concurrency=concurrency,
            progress=progress,
            on_error=on_error,
        )

    def ready(self, model: str | None = None, *, timeout: float | None = None) -> bool:
        """Return whether the server (or one model) says it is ready; False if it cannot be asked.

        Asked once, without retries; of several servers one must be.
        """
        return self._run(self._ready(model), timeout, once=True)

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models of the server's repository, loaded or not."""
        return self._run(self._models())

    def load(self, model: str, *, timeout: float | None = None) -> None:
        """Load a model of the server's repository, or load it anew; returns when it is loaded.

        A model that is served goes on until its successor is ready, so no request fails.

        Raises:
            InvalidInput: the server loads no models when asked; or the client has several.
            ModelNotFound: there is no such model; names the ones there are.
            NaiadError: it does not load; says why. What was served before is served on.
        """
        self._run(self._load(model), timeout)

    def unload(self, model: str, *, timeout: float | None = None) -> None:
        """Begin to unload a model: it takes no more requests, and answers those it has.

        Raises:
            InvalidInput: the server unloads no models when asked; or the client has several.
            ModelNotFound: there is no such model; names the ones there are.
        """
        self._run(self._unload(model), timeout)

    def metadata(self, model: str | None = None) -> Json:
        """Return the metadata of a model, or the name, version and extensions of the server."""
        return self._run(self._metadata(model))

    def config(self, model: str) -> Json:
        """Return a model's configuration, in the JSON form of Triton's ``ModelConfig``."""
        return self._run(self._config(model))

    def statistics(self, model: str | None = None) -> Json:
        """Return Triton's statistics of one model or of all, in ``["model_stats"]``."""
        return self._run(self._statistics(model))

    def model(self, name: str, version: int | None = None) -> ModelClient:
        """Return a client of one model, or of one version of it."""
        return ModelClient(self, name, version)

    def __getattr__(self, name: str) -> Any:
        """Return the model ``name``: its application's client if there is one."""
        if name.startswith("_"):
            raise AttributeError(name)
        from naiad.application import application

        known = application(name)
        return (
            self.model(name) if known is None else known.client_of(self.model(known.model_on(self)))
        )

    def close(self) -> None:
        """Close all connections; the client cannot be used any more."""
        for transport in self._servers.transports:
            transport.close()

    def __enter__(self) -> Client:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        self.close()

    def _run(self, steps: Operation[T], timeout: float | None = None, *, once: bool = False) -> T:
        deadline = self._deadline(timeout)
        retries = 0 if once else self._retries
        try:
            call = next(steps)
            while True:
                try:
                    answer = self._send(call, deadline, retries)
                except NaiadError as error:  # noqa: PERF203 - the steps may know what to do
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as stop:
            return stop.value

    def _send(self, call: Call[T], deadline: Deadline, retries: int | None) -> T:
        def once() -> T:
            with self._servers.turn() as transport:
                return transport.send(call, deadline)

        return Retrying(**policy(retries, deadline, self._servers))(once)


def open_transport(address: Address, tls: Tls, headers: Mapping[str, str]) -> Transport:
    """Return the transport for ``address``; it connects with the first call."""
    if address.is_grpc:
        from naiad.client.grpc import GrpcTransport

        return GrpcTransport(address, tls, headers)
    from naiad.client.http import HttpTransport

    return HttpTransport(address, tls, headers)
