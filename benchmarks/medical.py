"""Measure the cost of medical volumes: preparation, classification, queueing, and start-up.

    python -m benchmarks.medical [prepare] [forward] [queue] [bundle] [start] [--size 512 512 120]

Without names, everything is measured; `prepare forward` takes about a minute of CPU time. `prepare`
compares with MONAI's transforms and `forward` runs MONAI's DenseNet121, the network of the public
weights; both need MONAI, which Naiad's covid_ct does not. Times are medians of CPU time in one
thread; each round measures everything once, so that other load on the machine affects all alike.
`queue` measures the memory of a server of covid_ct with 64 waiting volumes, `bundle` that of a
server of a small MONAI bundle for segmentation.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from tests.support.memory import Usage

import naiad
from naiad.applications.medical import nifti
from naiad.applications.medical.covid_ct import phantoms
from naiad.applications.medical.covid_ct.model import ChestNet
from naiad.applications.medical.covid_ct.schema import SHAPE
from naiad.applications.medical.covid_ct.volumes import foreground, prepare, resized
from naiad.client import Client

BATCHES = (1, 4)
VOLUMES = 64
FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
COARSE = 4  # factor by which a phantom is drawn smaller, along each side of a slice


def chest(size: tuple[int, int, int]) -> NDArray[np.int16]:
    """Make a phantom as large as a scan.

    Drawing one takes minutes, so it is coarse; fine noise makes it compress like a scan.
    """
    rng = np.random.default_rng(0)
    x, y, z = size
    drawn = phantoms.draw(rng, opacities=True, size=(-(-x // COARSE), -(-y // COARSE), z))
    whole = drawn.repeat(COARSE, 0).repeat(COARSE, 1)[:x, :y]
    noise = rng.integers(-30, 31, size, np.int16)
    return np.where(whole > -1000, whole + noise, whole)


def timed(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each piece of work."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, run in work.items():
            began = time.process_time()
            run()
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_preparation(size: tuple[int, int, int], rounds: int) -> None:
    import monai.transforms as monai

    data = phantoms.encode(chest(size))
    volume = nifti.read(data)
    box = foreground(volume, "scan")
    transforms = monai.Compose(
        [
            monai.LoadImage(reader="NibabelReader", image_only=True, dtype=np.float32),
            monai.EnsureChannelFirst(channel_dim="no_channel"),
            monai.ScaleIntensityRange(a_min=-1000, a_max=500, b_min=0.0, b_max=1.0, clip=True),
            monai.CropForeground(margin=5, allow_smaller=True),
            monai.Resize(list(SHAPE), mode="area"),
        ]
    )
    with tempfile.NamedTemporaryFile(suffix=".nii.gz") as file:
        file.write(data)
        file.flush()
        found = timed(
            {
                "MONAI's transforms, from a file": lambda: transforms(file.name),
                "Naiad's, from bytes": lambda: prepare(data, "scan"),
                "  of it: gunzip and checks": lambda: nifti.read(data),
                "  of it: foreground": lambda: foreground(volume, "scan"),
                "  of it: scale, crop, resize": lambda: resized(volume, box),
            },
            rounds,
        )
    print(f"prepare a volume of {size}, {len(data) / 1e6:.1f} MB as .nii.gz")
    first = next(iter(found.values()))
    for name, seconds in found.items():
        print(f"  {name:34} {seconds:6.2f} s  {seconds / first:5.2f}")


def measure_forward(rounds: int) -> None:
    from monai.networks.nets import DenseNet121

    torch.set_num_threads(1)
    print(f"classify volumes of {SHAPE}, seconds per volume")
    networks = {
        "DenseNet121": DenseNet121(spatial_dims=3, in_channels=1, out_channels=1),
        "the network that comes along": ChestNet(),
    }
    for name, network in networks.items():
        network.eval()
        inputs = {batch: torch.rand(batch, 1, *SHAPE) for batch in BATCHES}
        with torch.inference_mode():
            network(inputs[1])  # the first one is slower
            work = {str(b): (lambda x=x, n=network: n(x)) for b, x in inputs.items()}
            found = timed(work, rounds)
        each = ", ".join(f"batch of {b}: {found[str(b)] / b:.2f}" for b in BATCHES)
        print(f"  {name}: {each}")


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
    "prepare": measure_preparation,
    "forward": lambda size, rounds: measure_forward(rounds),
    "queue": lambda size, rounds: measure_queue(size),
    "bundle": lambda size, rounds: measure_bundle(size),
    "start": lambda size, rounds: measure_start(rounds),
}


if __name__ == "__main__":
    main()
