"""Naiad's NuGraph2 against a plain deployment of the same network.

    python -m benchmarks.nugraph2 [--runs 5] [--seconds 3] [--clients 1,8]

Serves the network in PyTorch Geometric by Triton's Python backend in two settings, and Naiad's
pipeline with its defaults, all with the same random weights of the original's sizes; checks that
they give the same answers, and measures them in turn, round after round. The Python backend needs a
Python with NumPy 1: NAIAD_PYTHON_ENVIRONMENT.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from benchmarks.nugraph3.answers import ask, largest_difference
from benchmarks.nugraph3.inputs import SIZES, Events, simulated
from benchmarks.nugraph3.rounds import target_of
from benchmarks.nugraph3.sides import NAIAD, SETTINGS, Side, serving
from benchmarks.nugraph3.speed import Moment
from benchmarks.rounds import Speeds, alternating, parser
from rich.console import Console
from rich.table import Table

from naiad.applications.nugraph.card import Normalisation, NuGraph2Card
from naiad.applications.nugraph.nugraph2_model import NuGraph2Net
from naiad.applications.nugraph.weights import UBOONE_NORMALISATION
from naiad.bench.measure import run
from naiad.weights import read_json

_GAIN = 2.4
_EVENTS = 16


def main(arguments: list[str] | None = None) -> None:
    args = parser("nugraph2", __doc__, clients="1,8").parse_args(arguments)
    os.chdir(Path(__file__).parents[1])  # for the reference to find this package
    with TemporaryDirectory() as weights:
        make_weights(Path(weights))
        events = [simulated(size, _EVENTS) for size in SIZES]
        with serving(Path(weights), "nugraph2") as sides:
            run(compare(sides, events))
            for found in events:
                for clients in map(int, args.clients.split(",")):
                    rounds = run(measure(sides, found, clients, args))
                    title = f"{found.size} events, {clients} at once"
                    Console().print(table(rounds, title))


def make_weights(folder: Path) -> None:
    """Write random weights, scaled up until answers differ between events as trained ones do."""
    torch.manual_seed(1)
    net = NuGraph2Net()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 2:
                parameter *= _GAIN
    constants = read_json(UBOONE_NORMALISATION, Normalisation)
    card = NuGraph2Card(
        architecture=net.arch,
        semantic_classes=tuple(f"class {i}" for i in range(net.arch.semantic_classes)),
        mean=constants.mean,
        std=constants.std,
        notice="random weights, for measuring speed",
    )
    card.save_with(net, folder)


async def compare(sides: Mapping[str, Side], events: Sequence[Events]) -> None:
    """Check that all sides give the same answers.

    Raises:
        RuntimeError: they do not; nothing can be compared.
    """
    requests = [request for found in events for request in found.requests]
    expected = await ask(sides[NAIAD], requests, at_once=1)
    for name, side in sides.items():
        share, worst = largest_difference(expected, await ask(side, requests, at_once=8))
        if share > 1:
            raise RuntimeError(f"{name} and {NAIAD} differ by {worst}: not the same network")


async def measure(
    sides: Mapping[str, Side], events: Events, clients: int, args: argparse.Namespace
) -> list[Speeds]:
    """Return the speeds of each round, in which each side is measured once."""
    targets = {name: (target_of(side, events), side.pid) for name, side in sides.items()}
    return await alternating(targets, clients, args.runs, Moment(args.seconds / 3, args.seconds))


def table(rounds: Sequence[Speeds], title: str) -> Table:
    """Return medians over the rounds, and medians and ranges of the ratios within each."""
    found = Table("side", "events/s", "p50 ms", "p99 ms", "Naiad to it", title=title)
    for name in (NAIAD, *SETTINGS.values()):
        ratios = [one[NAIAD].throughput / one[name].throughput for one in rounds]
        middle = {
            key: median(getattr(one[name], key) for one in rounds)
            for key in ("throughput", "p50", "p99")
        }
        found.add_row(
            name,
            f"{middle['throughput']:,.1f}",
            f"{1e3 * middle['p50']:.1f}",
            f"{1e3 * middle['p99']:.1f}",
            f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        )
    return found


if __name__ == "__main__":
    main()
