"""Measure NuGraph's CPU time on one core: in torch, and compiled for each instruction set.

    python benchmarks/forward.py [WEIGHTS] [--network nugraph3] [--rounds 9]

Variants take turns, and the table has medians of milliseconds per event, for one event and for
eight together. WEIGHTS is a folder of NuGraph3 written by `naiad weights import`; by default, an
untrained network of the original's size: its values do not affect the time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from naiad.applications.nugraph.compiled import CompiledNuGraph3
from naiad.applications.nugraph.model import NuGraph3Net
from naiad.applications.nugraph.native_library import instruction_sets
from naiad.applications.nugraph.nugraph2_compiled import CompiledNuGraph2
from naiad.applications.nugraph.nugraph2_model import NuGraph2Net
from naiad.applications.nugraph.prepare import prepare
from naiad.applications.nugraph.schema import SAMPLE
from naiad.applications.nugraph.simulate import Size, simulate
from naiad.applications.nugraph.weights import load_weights
from naiad.core.merging import Batch, collate
from naiad.core.schema import measure

HITS: dict[Size, int] = {"small": 200, "large": 1_300}


def batch(size: Size, count: int) -> Batch:
    """Return ``count`` copies of the simulated event with the most typical number of hits."""
    events = [event.arrays() for event in simulate(30, size=size)]
    usual = min(events, key=lambda e: abs(len(e["hit_table_hit_id"]) - HITS[size]))
    samples = [prepare(usual)] * count
    return collate(SAMPLE, samples, [measure(SAMPLE, s) for s in samples]).torch("cpu")


def seconds(form: Callable[..., object], merged: Batch, count: int) -> float:
    start = time.process_time()
    form(merged, count)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", nargs="?", type=Path)
    parser.add_argument("--network", choices=("nugraph2", "nugraph3"), default="nugraph3")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.weights:
        net = load_weights(arguments.weights)[0]
    else:
        net = (NuGraph2Net() if arguments.network == "nugraph2" else NuGraph3Net()).eval()
    forms: dict[str, Callable[..., object]] = {"torch": net}
    for instructions in instruction_sets():
        start = time.perf_counter()
        if isinstance(net, NuGraph2Net):
            forms[instructions] = CompiledNuGraph2.of(net, instructions)
        else:
            forms[instructions] = CompiledNuGraph3.of(net, instructions)
        print(f"{instructions}: loaded in {(time.perf_counter() - start) * 1e3:.0f} ms")
    print(f"{'events':<10}{'hits':>6}{'spacepoints':>13}", *(f"{name:>10}" for name in forms))
    sizes: tuple[tuple[Size, int], ...] = (("small", 1), ("small", 8), ("large", 1), ("large", 8))
    for size, count in sizes:
        merged = batch(size, count)
        taken: dict[str, list[float]] = {name: [] for name in forms}
        with torch.inference_mode():
            for _ in range(arguments.rounds + 1):  # the first does not count
                for name, form in forms.items():
                    taken[name].append(seconds(form, merged, count) * 1e3 / count)
        totals = merged.totals()
        hits = sum(totals[f"hits_{plane}"] for plane in net.arch.planes) // count
        medians = (f"{statistics.median(times[1:]):>10.2f}" for times in taken.values())
        print(f"{count} {size:<8}{hits:>6}{totals['spacepoints'] // count:>13}", *medians)


if __name__ == "__main__":
    main()
