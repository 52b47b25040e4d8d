"""Measure the cost of the gate, and of an attack on honest clients behind it.

    python -m benchmarks.gate [--runs 5] [--seconds 2]       the cost
    python -m benchmarks.gate --attack [--seconds 20]        under attack

Cost: 1 and 16 clients in turn ask servers of the same models, one like `naiad serve` on loopback,
one behind the gate with an API key, and one with TLS as well: an echo of 1 KB and NuGraph3's
example, over gRPC and HTTP. A bare Envoy, with a route to the first server and no other filter,
shows the cost of any proxy. Prints medians of the ratios within each round, with their ranges.

Attack: 8 honest clients behind the gate, with and without an attacker who has a key and sends
bodies in one-byte chunks and ids that are not UTF-8, and who holds half-open connections and sends
1,000 requests a second without a key.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from benchmarks.nugraph3.speed import Moment, Speed, speed
from rich.console import Console
from rich.table import Table
from tests.support.stranger import half_open, one_byte_chunks, request, send

from naiad import Client, GateSettings, Server, serve
from naiad.bench.load import Load, Log, drive
from naiad.bench.measure import run
from naiad.bench.statistics import percentile
from naiad.bench.target import Target
from naiad.client.access import Access
from naiad.client.address import Address
from naiad.client.spec import ModelSpec
from naiad.core.schema import Arrays
from naiad.gate.certificates import make_certificate
from naiad.gate.filters import HTTP_CONNECTIONS
from naiad.gate.keys import add_key
from naiad.gate.process import envoy
from naiad.triton.ports import free_ports

ECHO = f"{Path(__file__).parent / 'overhead' / 'echo.py'}:Echo"
FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
DIRECT, BARE, GATE, TLS = "direct", "bare Envoy", "gate", "gate, TLS"


@dataclass(frozen=True)
class Side:
    """A server with its addresses and credentials."""

    server: Server
    access: Access
    urls: dict[str, str]

    def client(self, url: str) -> Client:
        return Client(url, api_key=self.access.api_key, ca=self.access.ca)

    def target(self, protocol: str, model: str, arrays: Arrays) -> Target:
        url = self.urls[protocol]
        with self.client(url) as client:
            spec = ModelSpec.from_config(client.config(model))
            client.infer(model, arrays)
        return Target(Address.parse(url), spec, [arrays], access=self.access)


@contextmanager
def sides(*pipelines: str, names: tuple[str, ...]) -> Iterator[dict[str, Side]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keys = folder / "keys.json"
        key = add_key(keys, "benchmark")
        certificate, private_key = make_certificate(["localhost", "127.0.0.1"], folder, days=2)
        tls = {"tls_cert": certificate, "tls_key": private_key}
        gates = {
            DIRECT: (None, Access()),
            GATE: (GateSettings(api_keys=keys), Access(api_key=key)),
            TLS: (GateSettings(api_keys=keys, **tls), Access(api_key=key, ca=certificate)),
        }
        found: dict[str, Side] = {}
        for name in names:
            if name == BARE:
                urls = stack.enter_context(bare_envoy(found[DIRECT].urls, folder))
                found[BARE] = Side(found[DIRECT].server, Access(), urls)
            else:
                gate, access = gates[name]
                server = stack.enter_context(serve(*pipelines, gate=gate, **FREE))
                urls = {"gRPC": server.grpc_url, "HTTP": server.http_url}
                found[name] = Side(server, access, urls)
        yield found


@contextmanager
def bare_envoy(urls: dict[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """Yield the addresses of an Envoy that forwards everything to these, without filters."""
    ports = dict(zip(urls, free_ports("127.0.0.1", len(urls)), strict=True))
    names = "type.googleapis.com/envoy.extensions"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{names}.filters.http.router.v3.Router"},
    }
    listeners: list[dict[str, object]] = []
    clusters: list[dict[str, object]] = []
    for protocol, url in urls.items():
        versions = f"{names}.upstreams.http.v3.HttpProtocolOptions"
        version = "http2_protocol_options" if protocol == "gRPC" else "http_protocol_options"
        route = {"match": {"prefix": "/"}, "route": {"cluster": protocol, "timeout": "0s"}}
        host = {"name": "all", "domains": ["*"], "routes": [route]}
        manager = {
            "@type": HTTP_CONNECTIONS,
            "stat_prefix": "bare",
            "generate_request_id": False,
            "http_filters": [router],
            "route_config": {"name": "all", "virtual_hosts": [host]},
        }
        name = "envoy.filters.network.http_connection_manager"
        chain = {"filters": [{"name": name, "typed_config": manager}]}
        listeners.append({"address": at(ports[protocol]), "filter_chains": [chain]})
        endpoint = {"endpoint": {"address": at(int(url.rpartition(":")[2]))}}
        ends = {"cluster_name": protocol, "endpoints": [{"lb_endpoints": [endpoint]}]}
        explicit = {"@type": versions, "explicit_http_config": {version: {}}}
        options = {versions.removeprefix("type.googleapis.com/"): explicit}
        clusters.append(
            {
                "name": protocol,
                "type": "STATIC",
                "load_assignment": ends,
                "typed_extension_protocol_options": options,
            }
        )
    config = folder / "bare.json"
    resources = {"listeners": listeners, "clusters": clusters}
    config.write_text(json.dumps({"static_resources": resources}))
    command = [str(envoy()), "--config-path", str(config), "--concurrency", "1"]
    with subprocess.Popen([*command, "--log-level", "error", "--disable-hot-restart"]) as process:
        try:
            schemes = {"gRPC": "grpc", "HTTP": "http"}  # each port takes both protocols
            found = {name: f"{schemes[name]}://127.0.0.1:{ports[name]}" for name in urls}
            with Client(found["gRPC"], retries=10) as client:
                client.ready()
            yield found
        finally:
            process.terminate()


def at(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


async def compare(found: dict[str, Side], runs: int, moment: Moment) -> list[Table]:
    echo = {"x": np.arange(256, dtype=np.float32)}
    event = next(iter(found.values())).server.probes["nugraph3"]
    tables: list[Table] = []
    for model, arrays in (("echo", echo), ("nugraph3", event)):
        for protocol in ("gRPC", "HTTP"):
            targets = {name: side.target(protocol, model, arrays) for name, side in found.items()}
            for clients in (1, 16):
                rounds: list[dict[str, Speed]] = []
                for number in range(runs):
                    turn = number % len(targets)
                    order = [*targets][turn:] + [*targets][:turn]
                    rounds.append({n: await speed(targets[n], clients, moment) for n in order})
                title = f"{model}, {protocol}, {clients} at once"
                tables.append(table(rounds, title))
                Console().print(tables[-1])
            for target in targets.values():
                await target.close()
    return tables


def table(rounds: list[dict[str, Speed]], title: str) -> Table:
    columns = ("", "requests/s", "of direct (range)", "p50 ms", "p50 more, ms (range)", "p99 ms")
    made = Table(*columns, title=title)
    for name in rounds[0]:
        mine = [one[name] for one in rounds]
        ratios = [one[name].throughput / one[DIRECT].throughput for one in rounds]
        more = [1e3 * (one[name].p50 - one[DIRECT].p50) for one in rounds]
        made.add_row(
            name,
            f"{median(s.throughput for s in mine):,.0f}",
            f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            f"{1e3 * median(s.p50 for s in mine):.2f}",
            f"{median(more):.2f} ({min(more):.2f}-{max(more):.2f})",
            f"{1e3 * median(s.p99 for s in mine):.2f}",
        )
    return made


class Stranger:
    """Run an attack in its own process."""

    def __init__(self, address: tuple[str, int], key: str, unauthorised: int) -> None:
        self._stop = multiprocessing.Event()
        arguments = (address, key, unauthorised, self._stop)
        self._process = multiprocessing.Process(target=attack, args=arguments, daemon=True)

    def __enter__(self) -> Stranger:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join()


def attack(address: tuple[str, int], key: str, unauthorised: int, stop: threading.Event) -> None:
    """Attack in all ways at once, each in its own thread, until told to stop."""
    path, headers = "/v2/models/echo/infer", {"x-api-key": key}
    bad = b'{"id": "caf\xe9", "inputs": []}'

    def repeat(what: object) -> threading.Thread:
        def go() -> None:
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    what()  # pyright: ignore[reportCallIssue]

        thread = threading.Thread(target=go, daemon=True)
        thread.start()
        return thread

    def hold() -> None:
        with half_open(address, 300):
            stop.wait(2)

    def flood() -> None:
        run(_flood(address, unauthorised, stop))

    threads = [
        repeat(lambda: send(address, one_byte_chunks(path, 200_000, headers), timeout=10)),
        repeat(lambda: send(address, [request("POST", path, bad, headers)], timeout=10)),
        repeat(hold),
        repeat(flood),
    ]
    for thread in threads:
        thread.join()


async def _flood(address: tuple[str, int], rate: int, stop: threading.Event) -> None:
    """Send requests at a rate, without a key, over a few connections."""
    wire = request("POST", "/v2/models/echo/infer", b"{}")
    pairs = [await asyncio.open_connection(*address) for _ in range(8)]
    began, sent = time.monotonic(), 0
    try:
        while not stop.is_set():
            due = int((time.monotonic() - began) * rate)
            for _ in range(max(0, due - sent)):
                reader, writer = pairs[sent % len(pairs)]
                writer.write(wire)
                sent += 1
            for reader, _ in pairs:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(reader.read(1 << 20), 0.001)
            await asyncio.sleep(0.01)
    finally:
        for _, writer in pairs:
            writer.close()


async def under_attack(side: Side, seconds: float, unauthorised: int) -> Table:
    """Measure honest clients of an echo, alternately without and with an attacker."""
    arrays = {"x": np.arange(256, dtype=np.float32)}
    address = ("127.0.0.1", int(side.server.http_url.rpartition(":")[2]))
    made = Table("", "requests/s", "failed", "p50 ms", "p99 ms", title="8 honest clients")
    for attacked in (False, True, False, True):
        target = side.target("gRPC", "echo", arrays)
        log, stop = Log(), asyncio.Event()
        key = side.access.api_key or ""
        with Stranger(address, key, unauthorised) if attacked else contextlib.nullcontext():
            await asyncio.sleep(1)
            load = asyncio.create_task(
                drive(Load("concurrency", 8), target.send, log, stop, seed=0)
            )
            await asyncio.sleep(seconds)
            stop.set()
            await load
        await target.close()
        latencies = [sample.latency for sample in log.samples if not sample.error]
        made.add_row(
            "under attack" if attacked else "in peace",
            f"{len(latencies) / seconds:,.0f}",
            str(sum(bool(sample.error) for sample in log.samples)),
            f"{1e3 * percentile(latencies, 50):.2f}",
            f"{1e3 * percentile(latencies, 99):.2f}",
        )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, help="of each measurement; 2, or 20 of an attack")
    parser.add_argument("--attack", action="store_true")
    parser.add_argument("--unauthorised", type=int, default=1000, help="requests a second")
    args = parser.parse_args()
    if args.attack:
        with sides(ECHO, names=(GATE,)) as found:
            work = under_attack(found[GATE], args.seconds or 20, args.unauthorised)
            Console().print(run(work))
        return
    with sides(ECHO, "nugraph3", names=(DIRECT, BARE, GATE, TLS)) as found:
        seconds = args.seconds or 2
        run(compare(found, args.runs, Moment(seconds / 4, seconds)))


if __name__ == "__main__":
    main()
