"""The HTTP transport: ``tritonclient``'s messages over urllib3 (blocking) and aiohttp (asyncio).

``tritonclient`` makes and reads the messages, KServe v2 with binary tensors. Its own connections
are not used: the blocking ones belong to one thread and have no deadline per call.
"""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import BadStatusLine
from typing import Any, TypeVar, cast
from urllib.parse import quote

import aiohttp
import urllib3
import urllib3.connection
import urllib3.exceptions
import yarl
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from naiad.client import handshake, status, wire
from naiad.client.access import context_of, control_headers, refused
from naiad.client.address import Address
from naiad.client.deadline import Deadline
from naiad.client.loops import PerLoop
from naiad.client.transport import (
    Arrays,
    Call,
    InferRequest,
    Json,
    ModelInfo,
    Tls,
    lost,
    unreachable,
)
from naiad.control_key import HTTP_HEADER
from naiad.errors import InvalidInput, NaiadError, NotAllowed, Unavailable
from naiad.printable import encodable

T = TypeVar("T")

HEADER_LENGTH = "Inference-Header-Content-Length"

# A proxy's error page is cut to its first words.
_TAG = re.compile(r"<style.*?</style>|<[^>]*>", re.DOTALL)
_LONGEST = 300

# Connections kept open between calls; more are opened when more threads ask at once.
_IDLE_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request to a path below that of the address."""

    path: str
    body: bytes | None = None  # a body makes it a POST
    headers: Mapping[str, str] | None = None

    @property
    def method(self) -> str:
        """GET or POST."""
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A whole reply; header names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpCalls:
    """Triton's calls as HTTP requests."""

    def infer(self, request: InferRequest) -> Call[Arrays]:
        """Ask for an inference: a JSON header, then the raw bytes of all tensors."""
        request.check_size("HTTP")
        inputs: list[InferInput] = []
        for name, array in request.arrays.items():
            tensor = InferInput(name, list(array.shape), wire.datatype(array))
            inputs.append(tensor.set_data_from_numpy(array))
        outputs = request.outputs and [InferRequestedOutput(name) for name in request.outputs]
        body, header_length = InferenceServerClient.generate_request_body(
            inputs,
            outputs=outputs,
            request_id=request.id,
            parameters=dict(request.parameters),
            timeout=request.microseconds,
        )
        headers = {"Content-Type": "application/octet-stream"}
        if header_length is not None:
            headers[HEADER_LENGTH] = str(header_length)
        return Call(
            HttpRequest(f"{_path(request.model, request.version)}/infer", body, headers),
            _read_outputs,
        )

    def ready(self, model: str | None) -> Call[bool]:
        """Ask whether the server, or one model, is ready: any status but 200 means no."""
        path = "/v2/health/ready" if model is None else f"{_path(model)}/ready"
        return Call(HttpRequest(path), lambda reply: True)

    def models(self) -> Call[tuple[ModelInfo, ...]]:
        """Ask for the models of the repository."""
        return Call(HttpRequest("/v2/repository/index", body=b"{}"), _read_models, control=True)

    def metadata(self, model: str | None) -> Call[Json]:
        """Ask for the metadata of the server, or of one model."""
        return Call(HttpRequest("/v2" if model is None else _path(model)), _read_json)

    def config(self, model: str) -> Call[Json]:
        """Ask for a model's configuration."""
        return Call(HttpRequest(f"{_path(model)}/config"), _read_json)

    def statistics(self, model: str | None) -> Call[Json]:
        """Ask for the statistics of all models, or of one."""
        return Call(HttpRequest(f"{_path(model) if model else '/v2/models'}/stats"), _read_json)

    def load(self, model: str) -> Call[None]:
        """Ask to load or reload a model."""
        return _control(model, "load")

    def unload(self, model: str) -> Call[None]:
        """Ask to unload a model."""
        return _control(model, "unload")


class _Connection(urllib3.connection.HTTPSConnection):
    """A connection on which a server may answer a too large request before it has read it all.

    When the rest can no longer be sent, urllib3 reads that answer after a `BrokenPipeError`; TLS
    raises another error.
    """

    def send(self, data: Any) -> None:
        """Send a part of the request."""
        try:
            super().send(data)
        except ssl.SSLEOFError as error:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error


class _EncryptedPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType] - as urllib3 does itself


class HttpTransport(HttpCalls):
    """A pool of kept-alive connections; a thread takes one for each call."""

    def __init__(self, address: Address, tls: Tls, headers: Mapping[str, str]) -> None:
        """Prepare a pool for ``address``; it connects with the first call."""
        self._address = address
        self._headers = dict(headers)
        self._answered = False
        self._pool = (
            _EncryptedPool(
                address.host,
                address.port,
                maxsize=_IDLE_CONNECTIONS,
                ssl_context=context_of(tls),
            )
            if address.tls
            else urllib3.HTTPConnectionPool(address.host, address.port, maxsize=_IDLE_CONNECTIONS)
        )

    def send(self, call: Call[T], deadline: Deadline) -> T:
        """Return the answer to ``call``."""
        request: HttpRequest = call.request
        headers = _headers(self._headers, call, self._address)
        timeout = deadline.remaining(self._address)
        try:
            response = self._pool.urlopen(
                request.method,
                self._address.path + request.path,
                body=request.body,
                headers=headers,
                timeout=urllib3.Timeout(total=timeout),
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise _blocking_failure(error, self._address, deadline, self._answered) from error
        self._answered = True
        reply = HttpReply(response.status, response.headers, response.data)
        return _answer(call, reply, headers, self._address)

    def close(self) -> None:
        """Close all connections that no call is using."""
        self._pool.close()


class AsyncHttpTransport(HttpCalls):
    """An aiohttp session for each event loop, opened with the first call in it."""

    def __init__(self, address: Address, tls: Tls, headers: Mapping[str, str]) -> None:
        """Remember where to connect to."""
        self._address = address
        self._headers = dict(headers)
        self._context = context_of(tls) if address.tls else True
        self._sessions = PerLoop(self._connect, aiohttp.ClientSession.close)
        self._answered = False

    async def send(self, call: Call[T], deadline: Deadline) -> T:
        """Return the answer to ``call``."""
        session = await self._sessions.get()
        request: HttpRequest = call.request
        headers = _headers(self._headers, call, self._address)
        timeout = deadline.remaining(self._address)
        try:
            async with session.request(
                request.method,
                yarl.URL(f"{self._address}{request.path}", encoded=True),
                # A file is sent in pieces, between which the event loop does other work.
                data=None if request.body is None else io.BytesIO(request.body),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                reply = HttpReply(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise _asyncio_failure(error, self._address, deadline, self._answered) from error
        self._answered = True
        return _answer(call, reply, headers, self._address)

    async def close(self) -> None:
        """Close all connections."""
        await self._sessions.close()

    def _connect(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=self._context))


def _path(model: str, version: str = "") -> str:
    path = f"/v2/models/{quote(encodable(model), safe='')}"
    return f"{path}/versions/{quote(version, safe='')}" if version else path


def _control(model: str, verb: str) -> Call[None]:
    path = f"/v2/repository/models/{quote(encodable(model), safe='')}/{verb}"
    return Call(HttpRequest(path, body=b"{}"), lambda reply: None, control=True)


def _headers(own: Mapping[str, str], call: Call[Any], address: Address) -> dict[str, str]:
    control = control_headers(address, HTTP_HEADER) if call.control else {}
    return {**own, **control, **(call.request.headers or {})}


def _answer(call: Call[T], reply: HttpReply, sent: Mapping[str, str], address: Address) -> T:
    place = f"{address}{call.request.path}"
    if reply.status == 200:
        try:
            return call.read(reply)
        except (ValueError, KeyError, TypeError) as error:
            if not reply.body:  # Python's http.client takes a truncated header for a whole one
                raise Unavailable(lost(address, "its answer is empty")) from error
            raise InvalidInput(f"{place} is not Triton's: its answer cannot be read") from error
    message = _message(reply.body)
    if message is None:
        if reply.status == 404:
            raise InvalidInput(f"{place} not found: is this Triton's HTTP port?") from None
        text = " ".join(_TAG.sub(" ", reply.body.decode(errors="replace")).split())[:_LONGEST]
        message = f"{place} answered HTTP {reply.status}{f': {text}' if text else ''}"
    error = status.http_error(reply.status, message)
    if isinstance(error, NotAllowed):
        raise refused(error, address, sent, control=call.control)
    raise error


def _message(body: bytes) -> str | None:
    """Return the message in the JSON of Triton or of a gate; None for any other body."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for name in ("error", "message"):
        if isinstance(said, dict) and isinstance(text := cast("Json", said).get(name), str):
            return text
    return None


def _read_json(reply: HttpReply) -> Json:
    return json.loads(reply.body)


def _read_models(reply: HttpReply) -> tuple[ModelInfo, ...]:
    return tuple(
        ModelInfo(m["name"], m.get("version", ""), m.get("state", ""), m.get("reason", ""))
        for m in json.loads(reply.body)
    )


def _read_outputs(reply: HttpReply) -> Arrays:
    length = reply.headers.get(HEADER_LENGTH)
    result = InferenceServerClient.parse_response_body(
        reply.body, header_length=None if length is None else int(length)
    )
    arrays: Arrays = {}
    for output in result.get_response()["outputs"]:
        array = cast("NDArray[Any]", result.as_numpy(output["name"]))
        arrays[output["name"]] = array if array.flags.writeable else array.copy()
    return arrays


def _not_http(address: Address) -> NaiadError:
    return InvalidInput(
        f"{address} does not speak HTTP/1; if it is Triton's gRPC port, the address is "
        f"{'grpcs' if address.tls else 'grpc'}://{address.target}"
    )


def _blocking_failure(
    error: Exception, address: Address, deadline: Deadline, answered: bool
) -> NaiadError:
    chain = [error, *(part for part in error.args if isinstance(part, Exception))]
    # In urllib3 1, NewConnectionError is a ConnectTimeoutError.
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return Unavailable(unreachable(address, _reason(error.__cause__)))
    if any(isinstance(part, urllib3.exceptions.TimeoutError | TimeoutError) for part in chain):
        return deadline.exceeded(address)
    if any(isinstance(part, BadStatusLine) and _is_binary(part) for part in chain):
        return _not_http(address)
    return Unavailable(_ended(address, chain[-1], answered))


def _ended(address: Address, error: Exception, answered: bool) -> str:
    """Return the message for a connection that ended, with a likely cause if it was the first."""
    said = str(error) or type(error).__name__
    if address.tls and (explained := handshake.explain(address, said)):
        return explained
    message = lost(address, _reason(error))
    if answered:
        return message
    if address.tls:
        return f"{message}; if it requires a client certificate, give certificate= and private_key="
    return f"{message}; if this port is encrypted, the address is {address.encrypted}"


def _reason(error: BaseException | None) -> str:
    """Return the system's own words, such as "Connection refused"."""
    unnamed = (socket.gaierror, ssl.SSLError)
    if isinstance(error, OSError) and error.errno and not isinstance(error, unnamed):
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_binary(error: BadStatusLine) -> bool:
    return not str(error.args[0]).isprintable()


def _asyncio_failure(
    error: Exception, address: Address, deadline: Deadline, answered: bool
) -> NaiadError:
    if isinstance(error, asyncio.TimeoutError):
        return deadline.exceeded(address)
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
        error, aiohttp.ClientSSLError
    ):
        return Unavailable(unreachable(address, _reason(error.os_error)))
    if isinstance(error, aiohttp.ClientResponseError):
        return _not_http(address)
    return Unavailable(_ended(address, error, answered))
