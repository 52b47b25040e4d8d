"""``naiad process`` on servers behind HAProxy, as deploy/haproxy.cfg sets it up."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.growth.bulk_run import MODEL, points, process, write_input
from benchmarks.growth.curve import CONSTANT, Curve, Effort, Point, Series

import naiad
from naiad.bulk.on_servers import OnServers
from naiad.bulk.servers import Servers
from naiad.triton.server import Server

_CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
_PLACES = 16  # requests at once to each server
_FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0, "health_port": 0}


def measure(sizes: Sequence[int], effort: Effort) -> Iterator[Point]:
    runs: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for size in sizes:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            running = [
                stack.enter_context(naiad.serve(MODEL, instances=1, **_FREE)) for _ in range(size)
            ]
            url = stack.enter_context(balanced(running, folder))
            count = write_input(folder / "events.h5", size, effort.seconds)
            for number in range(effort.runs):
                with Servers([url], "nugraph3", concurrency=_PLACES * size) as servers:
                    servers.start()
                    engine, results = OnServers(servers), folder / str(number)
                    runs[size].append(process(engine, folder / "events.h5", results, count))
    yield from points(runs)


@contextmanager
def balanced(servers: Sequence[Server], folder: Path) -> Iterator[str]:
    """Run HAProxy before servers; yield its address.

    Raises:
        RuntimeError: HAProxy is not installed.
    """
    command = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if command is None:
        raise RuntimeError("haproxy is not installed (Debian, Ubuntu: apt-get install haproxy)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = _CONFIG.read_text().replace("bind 127.0.0.1:8001", f"bind 127.0.0.1:{port}")
    (line, *others) = re.findall(r" +server naiad-\d .*\n", text)
    for other in others:
        text = text.replace(other, "")
    lines = [
        line.replace("naiad-1:8001", server.grpc_url)
        .replace("naiad-1", f"naiad-{number}")
        .replace("8003", server.health_url.rpartition(":")[2])
        for number, server in enumerate(servers, 1)
    ]
    config = folder / "haproxy.cfg"
    config.write_text(text.replace(line, "".join(lines)))
    with subprocess.Popen([command, "-db", "-f", str(config)]) as proxy:
        try:
            with naiad.Client(f"127.0.0.1:{port}", retries=10) as client:
                client.metadata("nugraph3")
            yield f"127.0.0.1:{port}"
        finally:
            proxy.terminate()


CURVE = Curve(
    name="servers",
    title="Servers of `naiad process`, behind HAProxy",
    size="servers",
    sizes=(1, 2, 3, 4),
    series=(
        Series("events", "1/s"),
        Series("efficiency", ""),
        Series("CPU of the command", "ms", CONSTANT),
    ),
    measure=measure,
    tiny=(1, 2),
    memory=lambda servers: 300e6 * servers,
    note=f"As above, with {_PLACES} requests at once to each server.",
)
