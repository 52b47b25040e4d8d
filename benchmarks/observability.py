"""Measure what the history of requests and traces cost, or metrics.

    python benchmarks/observability.py [--of metrics] [--runs 5] [--seconds 3] [--clients 16]

A server per variant, each in a process of its own, serves an echo of 1,024 bytes, then NuGraph3
with small events. They are asked in turn over gRPC, the others idle. Medians and ranges over the
rounds are printed; ratios are within each round. CPU time is of all of a server's processes, that
of the export included. Traces go to a collector that throws them away.
The metrics, Triton's and the models', are off, on, or on and read once a second, as OpenMetrics at
the health port.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.nugraph3.inputs import make_weights, simulated
from benchmarks.nugraph3.speed import Moment, Speed, speed
from benchmarks.overhead.__main__ import ECHO
from benchmarks.rounds import parser

import naiad
from naiad.bench.measure import run
from naiad.bench.target import Target
from naiad.client.address import Address
from naiad.client.client import Client
from naiad.client.spec import ModelSpec
from naiad.core.schema import Arrays

FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
# Settings of each variant's server, "COLLECTOR" being the collector's URL. The others are
# compared with the first variant.
VARIANTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "traces": {
        "neither": {"history": 0},
        "history (default)": {},
        "traces of 1%": {"otlp": "COLLECTOR", "trace_rate": 0.01},
        "traces of all": {"otlp": "COLLECTOR"},
    },
    "metrics": {
        "off": {"arguments": ("--allow-metrics=false",)},
        "on (default)": {},
        "on, and read": {"health_port": 0},
    },
}

_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Subject:
    """A model to serve, and the requests to send it."""

    title: str
    spec: str
    model: str
    requests: Sequence[Arrays]
    weights: Path | None = None


class _Sink(BaseHTTPRequestHandler):
    """A collector that reads spans and forgets them."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _collect(pipe: Connection) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    pipe.send(f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()


def _serve(pipe: Connection, spec: str, settings: Mapping[str, Any]) -> None:
    with naiad.serve(spec, **FREE, **settings) as server:
        ended = threading.Event()
        if server.health_url:
            url = f"{server.health_url}/metrics"
            threading.Thread(target=_read_often, args=(url, ended), daemon=True).start()
        pipe.send(server.grpc_url)
        pipe.recv()
        ended.set()


def _read_often(url: str, ended: threading.Event) -> None:
    asked = urllib.request.Request(url, headers={"Accept": "application/openmetrics-text"})
    while not ended.wait(1):
        with urllib.request.urlopen(asked, timeout=10) as answer:
            answer.read()


@contextmanager
def process(work: Any, *arguments: Any) -> Iterator[tuple[str, int]]:
    """Run ``work`` in a process; yield what it sends first, and the process's id."""
    ours, theirs = _spawn.Pipe()
    child = _spawn.Process(target=work, args=(theirs, *arguments), daemon=work is _collect)
    child.start()
    theirs.close()
    assert child.pid is not None
    try:
        yield ours.recv(), child.pid
    finally:
        if work is _collect:
            child.terminate()
        else:
            with suppress(BrokenPipeError):  # it did not start
                ours.send(None)
        child.join()


async def compare(
    subject: Subject, servers: Mapping[str, tuple[str, int]], clients: int, args: Any
) -> list[dict[str, Speed]]:
    """Return the speeds of each round, in which each server is measured once."""
    targets: dict[str, Target] = {}
    for name, (url, _) in servers.items():
        with Client(url) as client:
            spec = ModelSpec.from_config(client.config(subject.model))
        targets[name] = Target(Address.parse(url), spec, subject.requests)
    moment = Moment(args.seconds / 6, args.seconds)
    rounds: list[dict[str, Speed]] = []
    names = [*servers]
    try:
        for number in range(args.runs):
            turn = number % len(names)  # the order alternates between rounds
            rounds.append(
                {
                    name: await speed(targets[name], clients, moment, server=servers[name][1])
                    for name in names[turn:] + names[:turn]
                }
            )
    finally:
        for target in targets.values():
            await target.close()
    return rounds


def spread(values: Sequence[float], form: str) -> str:
    """Return the median and the range."""
    least, most = format(min(values), form), format(max(values), form)
    return f"{format(median(values), form)} ({least} to {most})"


def table(rounds: Sequence[Mapping[str, Speed]], plain: str, title: str) -> Table:
    ratio = f"of {plain}"
    names = ("server", "requests/s", ratio, "p50 ms", "CPU us per request", ratio)
    found = Table(*names, title=title)
    for name in rounds[0]:
        speeds = [one[name] for one in rounds]
        found.add_row(
            name,
            spread([s.throughput for s in speeds], ",.0f"),
            spread([one[name].throughput / one[plain].throughput for one in rounds], ".2f"),
            spread([1e3 * s.p50 for s in speeds], ".2f"),
            spread([1e6 * s.server_cpu for s in speeds], ",.0f"),
            spread([one[name].server_cpu / one[plain].server_cpu for one in rounds], ".2f"),
        )
    return found


def measure(subject: Subject, args: argparse.Namespace, console: Console) -> None:
    with ExitStack() as stack:
        collector, _ = stack.enter_context(process(_collect))
        servers: dict[str, tuple[str, int]] = {}
        for name, settings in VARIANTS[args.of].items():
            given = {k: collector if v == "COLLECTOR" else v for k, v in settings.items()}
            if subject.weights is not None:
                given["weights"] = subject.weights
            servers[name] = stack.enter_context(process(_serve, subject.spec, given))
        for clients in map(int, args.clients.split(",")):
            rounds = run(compare(subject, servers, clients, args))
            console.print(table(rounds, next(iter(servers)), f"{subject.title}, {clients} clients"))


def main(arguments: list[str] | None = None) -> None:
    options = parser("observability", __doc__, clients="16")
    options.add_argument("--of", choices=[*VARIANTS], default="traces", help="what to measure")
    options.add_argument("--only", choices=("echo", "nugraph3"), help="measure one of the two")
    args = options.parse_args(arguments)
    console = Console()
    if args.only != "nugraph3":
        arrays = {"x": np.arange(256, dtype=np.float32)}
        measure(Subject("echo", f"{ECHO}:Echo", "echo", [arrays]), args, console)
    if args.only != "echo":
        with TemporaryDirectory() as folder:
            make_weights(Path(folder))
            events = simulated("small", 32).requests
            subject = Subject("NuGraph3", "nugraph3", "nugraph3", events, Path(folder))
            measure(subject, args, console)


if __name__ == "__main__":
    main()
