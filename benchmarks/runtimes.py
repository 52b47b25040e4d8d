"""Measure networks by torch, ONNX Runtime and OpenVINO.

    python -m benchmarks.runtimes [--only NAME] [--threads 1 2] [--runs 7] [--docs]

Each network is opened by all three, as a pipeline does it, which compares their answers; then each
runs the same input in turn, in rounds of alternating order. Prints the median time, its range, and
the largest difference from torch, relative to the largest value. Weights are random, except for
MiniLM's: the times do not depend on them. Each number of threads has a process of its own.
`--docs` writes the table to docs/tuning.md; `--tiny` runs small inputs, to see that all works.
Needs MONAI and the extras huggingface, onnx and openvino.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from benchmarks.nugraph3.page import processor

from naiad.core.examples import difference
from naiad.core.settings import RUNTIMES, Runtime

PAGE = Path(__file__).parents[1] / "docs" / "tuning.md"
BEGIN, END = "<!-- make bench-runtimes: begin -->", "<!-- make bench-runtimes: end -->"

Run = Callable[[], np.ndarray]


@dataclass(frozen=True)
class Found:
    """Seconds of each run by runtime, and the largest difference of each from torch."""

    network: str
    threads: int
    seconds: Mapping[str, Sequence[float]]
    differences: Mapping[str, float]


def monai_network(name: str, shapes: Sequence[Sequence[int]], **options: Any) -> Any:
    """Return a function that opens one of MONAI's networks as TorchScript; it runs the first."""

    def opened(runtime: Runtime) -> Run:
        import monai.networks.nets as nets
        import torch

        from naiad.networks.opening import open_module
        from naiad.networks.torch_networks import traced

        torch.manual_seed(0)
        rng = np.random.default_rng(0)
        examples = [[rng.random(shape, np.float32)] for shape in shapes]
        script = traced(getattr(nets, name)(**options).eval(), examples[0])
        network = open_module(script, examples, runtime=runtime, name=name)
        return lambda: network(*examples[0])[0]

    return opened


def minilm(texts: int, tokens: int) -> Callable[[Runtime], Run]:
    """Return a function that opens MiniLM: by torch from its repository, else Naiad's ONNX file."""

    def opened(runtime: Runtime) -> Run:
        from naiad.applications.text.embedding.bert import IDS, KINDS, MASK
        from naiad.applications.text.embedding.card import ONNX_FILE, TORCH_FILE
        from naiad.applications.text.embedding.encoder import open_network
        from naiad.applications.text.embedding.importing import served_folder
        from naiad.applications.text.embedding.packaged import packaged

        own = runtime == "torch"
        network = open_network(
            packaged() if own else served_folder(None),
            TORCH_FILE if own else ONNX_FILE,
            "cpu",
            runtime=runtime,
        )
        ids = np.random.default_rng(0).integers(1000, 20_000, (texts, tokens))
        given = {IDS: ids, MASK: np.ones_like(ids), KINDS: np.zeros_like(ids)}
        return lambda: network(given)

    return opened


def networks(*, tiny: bool) -> dict[str, Callable[[Runtime], Run]]:
    """Return the networks by name."""
    volume, image = ((64, 64, 32), 64) if tiny else ((192, 192, 64), 299)
    some = 2 if tiny else 16
    return {
        "DenseNet121 3D (covid_ct), 1 volume of {} x {} x {}".format(*volume): monai_network(
            "DenseNet121",
            [(1, 1, *volume), (2, 1, *volume)],
            spatial_dims=3,
            in_channels=1,
            out_channels=1,
        ),
        f"DenseNet121 2D (mednist), {some} images of 64 x 64": monai_network(
            "DenseNet121",
            [(some, 1, 64, 64), (3, 1, 96, 80)],
            spatial_dims=2,
            in_channels=1,
            out_channels=6,
        ),
        f"ResNet-50 (image), 1 image of {image} x {image}": monai_network(
            "resnet50",
            [(1, 3, image, image), (2, 3, image, image)],
            spatial_dims=2,
            n_input_channels=3,
            num_classes=1000,
        ),
        f"MiniLM (text_embedding), {some} texts of 32 tokens": minilm(some, 32),
    }


def _milliseconds(seconds: float) -> str:
    shown = 1e3 * seconds
    return f"{shown:,.0f}" if shown >= 100 else f"{shown:.3g}"


def measure(name: str, opened: Callable[[Runtime], Run], threads: int, runs: int) -> Found:
    """Measure a network by every runtime in turn, in this process."""
    by = {runtime: opened(runtime) for runtime in RUNTIMES}
    answers = {runtime: run() for runtime, run in by.items()}
    seconds: dict[str, list[float]] = {runtime: [] for runtime in RUNTIMES}
    for number in range(runs):
        for runtime in RUNTIMES if number % 2 else reversed(RUNTIMES):
            began = time.perf_counter()
            by[runtime]()
            seconds[runtime].append(time.perf_counter() - began)
    differences = {runtime: difference(answers["torch"], one) for runtime, one in answers.items()}
    return Found(name, threads, seconds, differences)


def table(found: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"| network | threads | {' | '.join(f'{one}, ms' for one in RUNTIMES)} | difference |"
    yield "|---|---|" + "---|" * (len(RUNTIMES) + 1)
    for one in found:
        best = min(one.seconds, key=lambda runtime: median(one.seconds[runtime]))
        cells = (_cell(one.seconds[runtime], bold=runtime == best) for runtime in RUNTIMES)
        largest = max(one.differences.values())
        yield f"| {one.network} | {one.threads} | {' | '.join(cells)} | {largest:.0e} |"


def _cell(seconds: Sequence[float], *, bold: bool) -> str:
    middle = _milliseconds(median(seconds))
    shown = f"**{middle}**" if bold else middle
    return f"{shown} ({_milliseconds(min(seconds))} to {_milliseconds(max(seconds))})"


def main() -> None:
    """Measure each number of threads in a process of its own; print or write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.runtimes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="", help="networks whose name has this text")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=7, help="rounds; 7 by default")
    parser.add_argument("--tiny", action="store_true", help="small inputs")
    parser.add_argument("--docs", action="store_true", help="write docs/tuning.md")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    chosen = {name: one for name, one in networks(tiny=args.tiny).items() if args.only in name}
    if args.worker:
        (threads,), (name,) = args.threads, chosen
        found = measure(name, chosen[name], threads, args.runs)
        print(json.dumps(asdict(found)))
        return
    all_found: list[Found] = []
    for name in chosen:
        for threads in args.threads:
            command = [sys.executable, "-m", "benchmarks.runtimes", "--worker", "--only", name]
            command += ["--threads", str(threads), "--runs", str(args.runs)]
            done = subprocess.run(
                command + ["--tiny"] * args.tiny,
                check=True,
                stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"},
            )
            all_found.append(Found(**json.loads(done.stdout.splitlines()[-1])))
            print(*list(table(all_found[-1:]))[-1:], sep="\n", file=sys.stderr)
    lines = [*table(all_found), "", f"{args.runs} rounds, {date.today()}; {about()}."]
    print(*lines, sep="\n")
    if args.docs:
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text("\n".join((before + BEGIN, *lines, END)) + after, "utf-8")


def about() -> str:
    """Describe the processor and the libraries."""
    versions = ", ".join(f"{one} {version(one)}" for one in RUNTIMES)
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores; {versions}"


if __name__ == "__main__":
    main()
