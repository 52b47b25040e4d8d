"""Measure the memory of waiting volumes, and the time to the first answer.

    python -m benchmarks.medical [queue] [bundle] [start] [--size 512 512 120]

Without names, everything is measured. `queue` measures the memory of a server of covid_ct with 64
waiting volumes, `bundle` that of a server of a small MONAI bundle for segmentation.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from benchmarks.phantoms import chest
from tests.support.memory import Usage

import naiad
from naiad.applications.medical import nifti
from naiad.client import Client

VOLUMES = 64
FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}


def measure_queue(size: tuple[int, int, int]) -> None:
    watch(
        "covid_ct",
        size,
        lambda client, data: client.covid_ct.infer([data], timeout=600),
    )


def measure_bundle(size: tuple[int, int, int]) -> None:
    from tests.unit.applications.medical.bundle.bundles import segmentation_bundle

    from naiad.applications.medical.bundle.client import BundleClient
    from naiad.applications.medical.bundle.pipeline import bundle_spec

    with tempfile.TemporaryDirectory() as folder:
        watch(
            bundle_spec(segmentation_bundle(Path(folder) / "phantom_segmentation")),
            size,
            lambda client, data: BundleClient.find(client).infer(data, timeout=600),
        )


def watch(model: str, size: tuple[int, int, int], ask: Callable[[Client, bytes], object]) -> None:
    """Print the memory of a server while volumes wait."""
    data = nifti.write(chest(size), np.diag([2.0, 2.0, 2.0, 1.0]))  # millimetres
    stored = 2 * np.prod(size) / 1e6
    print(f"volumes of {size}, {len(data) / 1e6:.1f} MB as .nii.gz, {stored:.0f} MB as int16")
    with naiad.serve(model, instances=1, **FREE) as server, server.client() as client:
        ask(client, data)
        print(f"  after one volume, MB: {Usage.of(server)}")
        failed: list[Exception] = []

        def run() -> None:
            try:
                ask(client, data)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=run) for _ in range(VOLUMES)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        most = Usage.of(server)
        while any(thread.is_alive() for thread in threads):
            most = Usage(*map(max, astuple(most), astuple(Usage.of(server))))
            time.sleep(0.2)
        print(f"  most with {VOLUMES} waiting, MB: {most}; {len(failed)} failed")
        for error in failed[:1]:
            print(f"  {error}")
        print(f"  all answered after {time.perf_counter() - began:.0f} s")
        print(f"  when all are answered, MB: {Usage.of(server)}")


def measure_start(rounds: int) -> None:
    seconds: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        with naiad.serve("covid_ct", instances=1, **FREE):
            seconds.append(time.perf_counter() - began)
    print(f"from naiad.serve to the first answer: {statistics.median(seconds):.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help=f"of {', '.join(WHAT)}; default: everything")
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 120), help="of a volume")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    arguments = parser.parse_args()
    if unknown := sorted({*arguments.what} - WHAT.keys()):
        parser.error(f"{unknown[0]}: it must be one of {', '.join(WHAT)}")
    for what in arguments.what or WHAT:
        WHAT[what](tuple(arguments.size), arguments.rounds)


WHAT: dict[str, Callable[[tuple[int, int, int], int], None]] = {
    "queue": lambda size, rounds: measure_queue(size),
    "bundle": lambda size, rounds: measure_bundle(size),
    "start": lambda size, rounds: measure_start(rounds),
}


if __name__ == "__main__":
    main()
