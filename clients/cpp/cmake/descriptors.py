"""Write Triton's gRPC protocol, as tritonclient carries it, as a descriptor set for protoc.

Only what the client uses is written, a tenth of the whole, which compiles so much faster. On the
wire there is no difference: protobuf skips fields that it does not know.

Usage: descriptors.py FILE
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2

METHODS = {
    "ServerReady",
    "ModelReady",
    "ModelConfig",
    "ModelInfer",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
}
# The fields to keep in these messages; others keep all.
FIELDS = {".inference.ModelConfig": {"parameters"}}

Message = descriptor_pb2.DescriptorProto


def messages(prefix: str, within: list[Message]) -> Iterator[tuple[str, Message]]:
    """Return all messages by full name, with nested ones."""
    for message in within:
        name = f"{prefix}.{message.name}"
        yield name, message
        yield from messages(name, list(message.nested_type))


def keep(container: list[Message], prefix: str, used: set[str]) -> None:
    """Drop messages that are not used and contain none that is."""
    for message in list(container):
        name = f"{prefix}.{message.name}"
        if not any(other == name or other.startswith(f"{name}.") for other in used):
            container.remove(message)
        else:
            keep(message.nested_type, name, used)
            for enum in list(message.enum_type):
                if f"{name}.{enum.name}" not in used:
                    message.enum_type.remove(enum)


def main(path: Path) -> None:
    """Write the descriptor set."""
    protocol = descriptor_pb2.FileDescriptorSet()
    for module in (model_config_pb2, service_pb2):
        module.DESCRIPTOR.CopyToProto(protocol.file.add())
    known = {}
    for file in protocol.file:
        known.update(messages(f".{file.package}", list(file.message_type)))
        for service in file.service:
            for method in list(service.method):
                if method.name not in METHODS:
                    service.method.remove(method)
    services = [service for file in protocol.file for service in file.service]
    waiting = [t for s in services for m in s.method for t in (m.input_type, m.output_type)]
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in used:
            continue
        used.add(name)
        if name in known:  # else it is an enum
            fields = known[name].field
            for field in list(fields) if name in FIELDS else ():
                if field.name not in FIELDS[name]:
                    fields.remove(field)
            if name in FIELDS:  # none of those kept is in a oneof
                known[name].ClearField("oneof_decl")
            waiting += [field.type_name for field in fields if field.type_name]
    for file in protocol.file:
        keep(file.message_type, f".{file.package}", used)
        for enum in list(file.enum_type):
            if f".{file.package}.{enum.name}" not in used:
                file.enum_type.remove(enum)
    path.write_bytes(protocol.SerializeToString())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
