"""A TCP proxy on loopback that can fall silent without closing anything, like a dead host."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """A proxy that forwards from its own port to ``target`` until it is frozen."""

    target: tuple[str, int]
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    frozen: threading.Event = field(default_factory=threading.Event)
    sockets: list[socket.socket] = field(default_factory=list[socket.socket])

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def freeze(self) -> None:
        """Stop forwarding; connections stay open."""
        self.frozen.set()

    def accept(self) -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                self.sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self.forward, args=(source, sink), daemon=True).start()

    def forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self.frozen.is_set():
                    sink.sendall(data)


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    """Run a proxy to a ``host:port``."""
    host, _, port = url.removeprefix("grpc://").rpartition(":")
    between = Proxy((host, int(port)))
    accepting = threading.Thread(target=between.accept, daemon=True)
    accepting.start()
    try:
        yield between
    finally:
        between.listener.shutdown(socket.SHUT_RDWR)
        between.listener.close()
        accepting.join()
        for end in between.sockets:
            end.close()
