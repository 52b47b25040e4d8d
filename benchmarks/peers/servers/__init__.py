"""Programs that serve a work, each run by the Python of its own environment.

They find their `Options` in the environment, since most of these servers start processes of their
own that import the program again.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "NAIAD_BENCHMARK_PEER"
MODEL = "work"
"""Name of the model, where a server has models."""
BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Options:
    """What to serve and how.

    Attributes:
        work: one of `benchmarks.peers.works.NAMES`.
        port: of 127.0.0.1, for HTTP or gRPC.
        workers: processes, or whatever a server has in their place.
        wait: seconds that a batch may wait for more requests.
        scratch: an empty folder, which is removed afterwards.
        environment: folder of the peer's virtual environment.
    """

    work: str
    port: int
    workers: int
    wait: float
    scratch: str
    environment: str

    def variables(self) -> dict[str, str]:
        """Return the environment variable from which `options` reads them."""
        return {VARIABLE: json.dumps(asdict(self))}


def options() -> Options:
    """Return the options that this process was started with."""
    return Options(**json.loads(os.environ[VARIABLE]))


def serve_until_told(server: Any) -> None:
    """Run a server of Naiad's until SIGTERM or Ctrl-C."""
    with server:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            server.wait()
