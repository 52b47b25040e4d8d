"""The blocking client."""

# Made from aio.py by scripts/blocking.py: edit that.

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.base import ClientBase
from naiad.client.checks import merged
from naiad.client.deadline import Deadline
from naiad.client.graphs import Inputs, as_tensors, is_graph
from naiad.client.operations import Operation
from naiad.client.ordered_map import ask_each, try_each
from naiad.client.retry import Attempts
from naiad.client.spec import card_of
from naiad.client.tracebacks import one_frame
from naiad.client.transport import Arrays, Call, Json, ModelInfo, Parameter, Tls, Transport
from naiad.errors import NaiadError, Unavailable

T = TypeVar("T")


class Client(ClientBase[Transport]):
    """Client of a Triton server; safe to share between threads.

    Example::

        with naiad.Client("localhost:8001") as client:
            answer = client.infer("simple", INPUT0=a, INPUT1=b)
            answer["OUTPUT0"]

    Every call ends within ``timeout`` seconds, with an answer or one of `naiad.errors`:
    `InvalidInput` (found by the client before anything is sent, or by the server),
    `ModelNotFound`, `NotAllowed`, `Unavailable` (only after retries with growing waits),
    `DeadlineExceeded`, or `PipelineError` for a failure inside the server. Its traceback has one
    frame of Naiad's; ``NAIAD_TRACEBACK=full`` in the environment shows them all.

    Retries go on until the call's time is up, so that a restart of the server loses no request.
    Only for a server that has never answered this client they end after three, so that a wrong port
    is found within seconds.

    Of several servers, an unavailable one is skipped for growing times, and its request goes to the
    next at once: the client waits only after it tried them all.

    It can be pickled, to be sent to other processes: with its settings, ``headers`` and ``api_key``
    included, but without connections and credentials of the environment.

    ``client.NAME`` is the typed client of the application ``NAME`` (``client.nugraph3``); without
    such an application, the `ModelClient` of the model ``NAME``.
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
                socket. Several servers of the same models, in a sequence or separated by commas,
                are asked in turn.
            timeout: seconds that each call may take, retries and waits included.
            retries: number of retries while the server (of several, each) is unavailable.
                Default: see the class.
            headers: sent with each call, such as an access token.
            api_key: sent with each call, to other machines only encrypted; default:
                ``NAIAD_API_KEY``.
            ca: PEM file of the authority to trust; default: ``NAIAD_CA``, else the system's (HTTP)
                or gRPC's own.
            certificate: PEM file of this client's certificate, if the server requires one.
            private_key: PEM file of its key.

        Raises:
            InvalidInput: a URL or a setting is invalid.
        """
        with one_frame:
            access = Access(
                headers=headers or {},
                api_key=api_key,
                ca=ca,
                certificate=certificate,
                private_key=private_key,
            )
            super().__init__(url, open_transport, access, timeout, retries)

    def infer(
        self,
        model: str,
        arrays: Inputs | None = None,
        /,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        request_id: str = "",
        timeout: float | None = None,
        version: int | str | None = None,
        **tensors: ArrayLike,
    ) -> Arrays:
        """Return the model's outputs by name, as arrays that own their memory.

        Args:
            model: name of the model.
            arrays: inputs by name, needed for names that cannot be keywords of this method; or a
                ``Data`` or ``HeteroData`` of PyTorch Geometric, whose answer is torch tensors.
                Attributes that the model does not take are left out, with a warning.
            outputs: names of the outputs to return; default: all.
            parameters: request parameters that the model understands.
            request_id: shown in the server's log.
            timeout: seconds, instead of the client's. It is sent with the request, so that the
                server drops the request once nobody waits for it.
            version: of the model; default: the newest that is served.
            **tensors: inputs by name, beside or instead of ``arrays``. Lists and other dtypes
                are converted if nothing is lost; BYTES tensors take ``str`` and ``bytes`` and
                return ``bytes``, in arrays of dtype ``object``.

        Raises:
            InvalidInput: names the tensor that the model does not take.
            NaiadError: see the class.
        """
        with one_frame:
            operation = self._operations.infer(
                model,
                merged(arrays, tensors),
                outputs,
                parameters,
                request_id,
                self._seconds(timeout),
                version,
            )
            answer = self._run(operation, timeout)
            return as_tensors(answer) if is_graph(arrays) else answer

    def infer_many(
        self,
        model: str,
        requests: Iterable[Inputs],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | str | None = None,
        concurrency: int = 8,
        progress: bool = False,
    ) -> Iterator[Arrays]:
        """Yield the answer to each of ``requests``, in order, with several in flight.

        Requests are taken from the iterable as needed, so it may be endless. The first that fails
        ends the answers with its error; :meth:`try_many` goes on.

        Args:
            model: name of the model.
            requests: inputs by name, one mapping per request.
            outputs: names of the outputs to return; default: all.
            parameters: request parameters, the same for all.
            timeout: seconds per request, instead of the client's.
            version: of the model; default: the newest that is served.
            concurrency: number of requests in flight.
            progress: show a progress bar on standard error.
        """
        with one_frame:
            return ask_each(
                partial(
                    self.infer,
                    model,
                    outputs=outputs,
                    parameters=parameters,
                    timeout=timeout,
                    version=version,
                ),
                requests,
                label=model,
                concurrency=concurrency,
                progress=progress,
            )

    def try_many(
        self,
        model: str,
        requests: Iterable[Inputs],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        version: int | str | None = None,
        concurrency: int = 8,
        progress: bool = False,
    ) -> Iterator[Arrays | NaiadError]:
        """Do as :meth:`infer_many`, with the error of a request that fails in its place."""
        with one_frame:
            return try_each(
                partial(
                    self.infer,
                    model,
                    outputs=outputs,
                    parameters=parameters,
                    timeout=timeout,
                    version=version,
                ),
                requests,
                label=model,
                concurrency=concurrency,
                progress=progress,
            )

    def ready(self, model: str | None = None, *, timeout: float | None = None) -> bool:
        """Return whether the server (or one model) is ready; False if it cannot be reached.

        It is asked once, without retries; of several servers one must be ready.
        """
        with one_frame:
            return self._run(self._operations.ready(model), timeout, once=True)

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models of the server's repository, loaded or not."""
        with one_frame:
            return self._run(self._operations.models())

    def load(self, model: str, *, timeout: float | None = None) -> None:
        """Load or reload a model of the server's repository; return when it is loaded.

        A model being replaced answers until its successor is ready, so no request fails.

        Raises:
            InvalidInput: the server does not load models on request, or the client has several
                servers.
            ModelNotFound: there is no such model; names those there are.
            NaiadError: it does not load; says why. The model served before stays.
        """
        with one_frame:
            self._servers.only("loading a model")
            self._run(self._operations.load(model), timeout)

    def unload(self, model: str, *, timeout: float | None = None) -> None:
        """Begin to unload a model: it answers the requests it has and takes no more.

        Raises:
            InvalidInput: the server does not unload models on request, or the client has several
                servers.
            ModelNotFound: there is no such model; names those there are.
        """
        with one_frame:
            self._servers.only("unloading a model")
            self._run(self._operations.unload(model), timeout)

    def metadata(self, model: str | None = None) -> Json:
        """Return the metadata of a model, or the name, version and extensions of the server."""
        with one_frame:
            return self._run(self._operations.metadata(model))

    def config(self, model: str) -> Json:
        """Return a model's configuration, in the JSON form of Triton's ``ModelConfig``."""
        with one_frame:
            return self._run(self._operations.config(model))

    def card(self, model: str) -> Mapping[str, str]:
        """Return the model card: the parameters in the model's configuration, by name.

        It is from the configuration that was fetched once, to check requests.
        """
        with one_frame:
            return self._run(self._operations.card(model))

    def statistics(self, model: str | None = None) -> Json:
        """Return Triton's statistics of one model or of all, in ``["model_stats"]``."""
        with one_frame:
            return self._run(self._operations.statistics(model))

    def model(self, name: str, version: int | str | None = None) -> ModelClient:
        """Return a client of one model, or of one version of it."""
        return ModelClient(self, name, version)

    def __getattr__(self, name: str) -> Any:
        """Return the typed client of the application ``name``; without one, of the model."""
        if name.startswith("_"):
            raise AttributeError(name)
        from naiad.application import application

        known = application(name)
        return self.model(name) if known is None else known.client_of(self.model(known.model))

    def close(self) -> None:
        """Close all connections; the client cannot be used again."""
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

    def _run(
        self, operation: Operation[T], timeout: float | None = None, *, once: bool = False
    ) -> T:
        deadline = Deadline.after(self._seconds(timeout))
        retries = 0 if once else self._retries
        try:
            call = next(operation)
            while True:
                try:
                    answer = self._send(call, deadline, retries)
                except NaiadError as error:  # noqa: PERF203 - the operation may handle it
                    call = operation.throw(error)
                else:
                    call = operation.send(answer)
        except StopIteration as stop:
            return stop.value

    def _send(self, call: Call[T], deadline: Deadline, retries: int | None) -> T:
        attempts = Attempts(retries, deadline, self._servers)
        while True:
            try:
                with self._servers.turn() as transport:
                    return transport.send(call, deadline)
            except Unavailable as error:
                wait = attempts.wait_after(error)
            time.sleep(wait)


class ModelClient:
    """One model of a server; see `Client` for what each method does."""

    def __init__(self, client: Client, name: str, version: int | str | None = None) -> None:
        """Bind the model ``name`` of ``client``, in the newest ``version`` if none is given."""
        self.client = client
        self.name = name
        self.version = version

    def __repr__(self) -> str:
        """Return the class, the model and the server."""
        return f"{type(self).__name__}('{self.name}' at {self.client.url})"

    def infer(
        self,
        arrays: Inputs | None = None,
        /,
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        request_id: str = "",
        timeout: float | None = None,
        **tensors: ArrayLike,
    ) -> Arrays:
        """Return the model's outputs by name; see `Client.infer`."""
        with one_frame:
            return self.client.infer(
                self.name,
                arrays,
                outputs=outputs,
                parameters=parameters,
                request_id=request_id,
                timeout=timeout,
                version=self.version,
                **tensors,
            )

    def infer_many(
        self,
        requests: Iterable[Inputs],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        concurrency: int = 8,
        progress: bool = False,
    ) -> Iterator[Arrays]:
        """Yield the answer to each of ``requests``, in order; see `Client.infer_many`."""
        with one_frame:
            return self.client.infer_many(
                self.name,
                requests,
                outputs=outputs,
                parameters=parameters,
                timeout=timeout,
                version=self.version,
                concurrency=concurrency,
                progress=progress,
            )

    def try_many(
        self,
        requests: Iterable[Inputs],
        *,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        timeout: float | None = None,
        concurrency: int = 8,
        progress: bool = False,
    ) -> Iterator[Arrays | NaiadError]:
        """Yield the answer to each of ``requests``, or its error; see `Client.try_many`."""
        with one_frame:
            return self.client.try_many(
                self.name,
                requests,
                outputs=outputs,
                parameters=parameters,
                timeout=timeout,
                version=self.version,
                concurrency=concurrency,
                progress=progress,
            )

    def ready(self, *, timeout: float | None = None) -> bool:
        """Return whether the model says it is ready."""
        return self.client.ready(self.name, timeout=timeout)

    def metadata(self) -> Json:
        """Return the model's metadata."""
        with one_frame:
            return self.client.metadata(self.name)

    def config(self) -> Json:
        """Return the model's configuration."""
        with one_frame:
            return self.client.config(self.name)

    def card(self) -> Mapping[str, str]:
        """Return the model card; see `Client.card`."""
        with one_frame:
            return self.client.card(self.name)

    def notice(self) -> str:
        """Return the notice of the served weights, or ""."""
        with one_frame:
            return card_of(self.client.config(self.name)).get("notice", "")

    def statistics(self) -> Json:
        """Return Triton's statistics of the model."""
        with one_frame:
            return self.client.statistics(self.name)


def open_transport(address: Address, tls: Tls, headers: Mapping[str, str]) -> Transport:
    """Return the transport for ``address``; it connects with the first call."""
    if address.is_grpc:
        from naiad.client.grpc import GrpcTransport

        return GrpcTransport(address, tls, headers)
    from naiad.client.http import HttpTransport

    return HttpTransport(address, tls, headers)
