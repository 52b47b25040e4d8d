"""The gRPC transport: Triton's ``GRPCInferenceService``, blocking and asyncio."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2, service_pb2_grpc

from naiad.client import handshake, status, wire
from naiad.client.access import control_headers, refused
from naiad.client.address import Address
from naiad.client.deadline import Deadline
from naiad.client.loops import PerLoop
from naiad.client.proxies import proxy_to
from naiad.client.transport import (
    Arrays,
    Call,
    InferRequest,
    Json,
    ModelInfo,
    Parameter,
    Tls,
    lost,
    unreachable,
)
from naiad.control_key import GRPC_HEADER
from naiad.errors import NaiadError, NotAllowed, PipelineError, Unavailable
from naiad.printable import encodable

T = TypeVar("T")

# Its classes are made at import, out of sight of type checkers.
messages: Any = service_pb2

_NO_SUCH_HOST = re.compile("errors resolving|DNS resolution failed", re.IGNORECASE)
# gRPC's words for a server that does not speak HTTP/2.
_NOT_GRPC = re.compile("Socket closed|parsing HTTP/2|http1|Connection reset|Broken pipe")
_NOT_CONNECTED = re.compile(f"failed to connect|{_NO_SUCH_HOST.pattern}", re.IGNORECASE)
# gRPC's words for an established connection that ended.
_LOST = re.compile("Socket closed|Connection reset|Broken pipe|GOAWAY|recvmsg|sendmsg|^Stream rem")
_PROXY_REFUSED = re.compile(r"HTTP proxy returned response code (\d+)")

_OPTIONS = [
    # -1: no limit but protobuf's (the default is 4 MB).
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # A channel that could not connect fails every call until its own back-off is over, at first one
    # second, in which all our retries would fall.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # After a GOAWAY, gRPC 1.85 can retry a call on the same connection thousands of times a second
    # until the deadline, without noticing that the connection has closed; or wait for a connection
    # that nobody opens. Our retries are new calls.
    ("grpc.enable_retries", 0),
    # Clients of one process share no connection, and so no back-off.
    ("grpc.use_local_subchannel_pool", 1),
]


class GrpcCalls:
    """Triton's calls as (name of the method, message)."""

    def infer(self, request: InferRequest) -> Call[Arrays]:
        """Ask for an inference; tensors are sent as raw bytes."""
        request.check_size("gRPC")
        message = messages.ModelInferRequest(
            model_name=encodable(request.model), model_version=request.version, id=request.id
        )
        for name, array in request.arrays.items():
            message.inputs.add(name=name, datatype=wire.datatype(array), shape=array.shape)
            message.raw_input_contents.append(wire.pack(array))
        for name in request.outputs or ():
            message.outputs.add(name=name)
        for name, value in request.parameters.items():
            setattr(message.parameters[name], _parameter_field(value), value)
        message.parameters["timeout"].int64_param = request.microseconds
        return Call(("ModelInfer", message), _read_outputs)

    def ready(self, model: str | None) -> Call[bool]:
        """Ask whether the server, or one model, is ready."""
        if model is None:
            return Call(("ServerReady", messages.ServerReadyRequest()), _read_ready)
        return Call(("ModelReady", messages.ModelReadyRequest(name=encodable(model))), _read_ready)

    def models(self) -> Call[tuple[ModelInfo, ...]]:
        """Ask for the models of the repository."""
        message = messages.RepositoryIndexRequest()
        return Call(("RepositoryIndex", message), _read_models, control=True)

    def metadata(self, model: str | None) -> Call[Json]:
        """Ask for the metadata of the server, or of one model."""
        if model is None:
            return Call(("ServerMetadata", messages.ServerMetadataRequest()), to_json)
        return Call(
            ("ModelMetadata", messages.ModelMetadataRequest(name=encodable(model))), to_json
        )

    def config(self, model: str) -> Call[Json]:
        """Ask for a model's configuration."""
        return Call(
            ("ModelConfig", messages.ModelConfigRequest(name=encodable(model))), _read_config
        )

    def statistics(self, model: str | None) -> Call[Json]:
        """Ask for the statistics of all models, or of one."""
        return Call(
            ("ModelStatistics", messages.ModelStatisticsRequest(name=encodable(model or ""))),
            to_json,
        )

    def load(self, model: str) -> Call[None]:
        """Ask to load or reload a model."""
        message = messages.RepositoryModelLoadRequest(model_name=encodable(model))
        return Call(("RepositoryModelLoad", message), _ignore, control=True)

    def unload(self, model: str) -> Call[None]:
        """Ask to unload a model."""
        message = messages.RepositoryModelUnloadRequest(model_name=encodable(model))
        return Call(("RepositoryModelUnload", message), _ignore, control=True)


class _Transport(GrpcCalls):
    """The target of the channel, and the headers of each call."""

    def __init__(self, address: Address, tls: Tls, headers: Mapping[str, str]) -> None:
        """Remember both; nothing is opened yet."""
        self._address = address
        self._headers = headers
        self._credentials = _credentials(tls) if address.tls else None

    def _open(self, module: Any) -> Any:
        """Return a channel of ``grpc`` or ``grpc.aio``; it connects with the first call."""
        target, options = _target(self._address), _options(self._address)
        if self._credentials:
            return module.secure_channel(target, self._credentials, options)
        return module.insecure_channel(target, options)

    def _arguments(
        self, call: Call[Any], deadline: Deadline
    ) -> tuple[Mapping[str, str], dict[str, Any]]:
        """Return the headers of a call, and the arguments that send it with them."""
        headers = _headers(self._headers, call, self._address)
        metadata = tuple((name.lower(), value) for name, value in headers.items())
        return headers, {"timeout": deadline.remaining(self._address), "metadata": metadata}


class GrpcTransport(_Transport):
    """One channel, shared by all threads."""

    def __init__(self, address: Address, tls: Tls, headers: Mapping[str, str]) -> None:
        """Prepare a channel to ``address``; it connects with the first call."""
        super().__init__(address, tls, headers)
        self._channel = self._open(grpc)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def send(self, call: Call[T], deadline: Deadline) -> T:
        """Return the answer to ``call``."""
        method, message = call.request
        headers, arguments = self._arguments(call, deadline)
        try:
            reply = getattr(self._stub, method)(message, **arguments)
        except grpc.RpcError as error:
            raise _failure(error, call, headers, self._address, deadline) from error
        return call.read(reply)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class AsyncGrpcTransport(_Transport):
    """An asyncio channel for each event loop, opened with the first call in it."""

    def __init__(self, address: Address, tls: Tls, headers: Mapping[str, str]) -> None:
        """Remember where to connect to."""
        super().__init__(address, tls, headers)
        self._channels = PerLoop(self._connect, lambda opened: opened[0].close())

    async def send(self, call: Call[T], deadline: Deadline) -> T:
        """Return the answer to ``call``."""
        _, stub = await self._channels.get()
        method, message = call.request
        headers, arguments = self._arguments(call, deadline)
        try:
            reply = await getattr(stub, method)(message, **arguments)
        except grpc.RpcError as error:
            raise _failure(error, call, headers, self._address, deadline) from error
        return call.read(reply)

    async def close(self) -> None:
        """Close the channel."""
        await self._channels.close()

    def _connect(self) -> tuple[grpc.aio.Channel, Any]:
        channel = self._open(grpc.aio)
        return channel, service_pb2_grpc.GRPCInferenceServiceStub(channel)


def to_json(message: Message) -> Json:
    """Return ``message`` as Triton's HTTP port writes it: with every scalar, integers as int.

    ``MessageToDict`` writes 64-bit integers as strings and omits default values.
    """
    return {
        field.name: _plain(getattr(message, field.name), field.enum_type)
        for field in message.DESCRIPTOR.fields
        if field.message_type is None or _is_present(message, field.name)
    }


def _is_present(message: Message, name: str) -> bool:
    value = getattr(message, name)
    return message.HasField(name) if isinstance(value, Message) else True


def _plain(value: Any, enum: Any) -> Any:
    if isinstance(value, Message):
        return to_json(value)
    if hasattr(value, "items"):
        return {key: _plain(item, None) for key, item in value.items()}
    if hasattr(value, "append") or hasattr(value, "add"):
        return [_plain(item, enum) for item in value]
    return enum.values_by_number[value].name if enum is not None else value


def _parameter_field(value: Parameter) -> str:
    if isinstance(value, bool):  # before int, which it also is
        return "bool_param"
    if isinstance(value, int):
        return "int64_param"
    return "double_param" if isinstance(value, float) else "string_param"


def _read_outputs(reply: Any) -> Arrays:
    if len(reply.raw_output_contents) != len(reply.outputs):
        raise PipelineError("the server's answer has no raw data for some of its outputs")
    return {
        output.name: wire.unpack(data, output.datatype, tuple(output.shape))
        for output, data in zip(reply.outputs, reply.raw_output_contents, strict=True)
    }


def _read_ready(reply: Any) -> bool:
    if not reply.ready:  # as over HTTP; another of several servers may be ready
        raise Unavailable("the server, or the model, is not ready")
    return True


def _read_models(reply: Any) -> tuple[ModelInfo, ...]:
    return tuple(ModelInfo(m.name, m.version, m.state, m.reason) for m in reply.models)


def _read_config(reply: Any) -> Json:
    return to_json(reply.config)


def _ignore(reply: Any) -> None:
    """Ignore the answer, which has no content."""


def _target(address: Address) -> str:
    """Return the address as gRPC writes it, with a socket's path quoted as in a URL."""
    return f"unix:{quote(address.path, safe='/:')}" if address.socket else address.target


def _options(address: Address) -> list[tuple[str, Any]]:
    if not address.is_local:
        return _OPTIONS
    options = [*_OPTIONS, ("grpc.enable_http_proxy", 0)]
    # By default gRPC sends the socket's path as host, which HTTP/2 servers refuse.
    return [*options, ("grpc.default_authority", "localhost")] if address.socket else options


def _headers(own: Mapping[str, str], call: Call[Any], address: Address) -> Mapping[str, str]:
    return {**own, **control_headers(address, GRPC_HEADER)} if call.control else own


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=_bytes(tls.ca),
        private_key=_bytes(tls.private_key),
        certificate_chain=_bytes(tls.certificate),
    )


def _bytes(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None


def _failure(
    error: Any, call: Call[Any], sent: Mapping[str, str], address: Address, deadline: Deadline
) -> NaiadError:
    code, details = error.code().name, error.details() or ""
    if code == "DEADLINE_EXCEEDED":
        return deadline.exceeded(address)
    if code == "UNAVAILABLE" and _NOT_CONNECTED.search(details):
        return Unavailable(_not_connected(details, address))
    if code == "UNAVAILABLE" and _LOST.search(details):
        return Unavailable(lost(address, details))
    found = status.error(code, details)
    if isinstance(found, NotAllowed):
        return refused(found, address, sent, control=call.control)
    return found


def _not_connected(details: str, address: Address) -> str:
    """Return why there is no connection, and what to do."""
    if address.tls and (said := handshake.explain(address, _last(details))):
        return said
    if proxy := proxy_to(address):
        refusal = _PROXY_REFUSED.search(details)
        reason = f"it answered {refusal[1]}" if refusal else _reason(details, address)
        return (
            f"{address} cannot be reached through {proxy} ({reason}); if it needs no proxy, add "
            f"{address.host} to no_proxy"
        )
    if _NOT_GRPC.search(details):
        if address.tls:
            return (
                f"{address} ended the connection before it answered: it does not speak gRPC, or "
                "requires a client certificate: give certificate= and private_key="
            )
        return (
            f"{address} does not speak gRPC; if this is Triton's HTTP port, the address is "
            f"http://{address.target}; if this port is encrypted, {address.encrypted}"
        )
    return unreachable(address, _reason(details, address))


def _reason(details: str, address: Address) -> str:
    if _NO_SUCH_HOST.search(details):
        return "no such host is known"
    return _last(details).rpartition(": ")[2]


def _last(details: str) -> str:
    """Return gRPC's error for the last address that it tried, without the address."""
    return re.sub(r"^.*last error: \w+: (ipv4|ipv6|unix):\S+ ", "", details)
