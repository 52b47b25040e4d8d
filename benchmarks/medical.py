"""What medical volumes cost: to prepare, to classify, to queue, and until a server is ready.

    python -m benchmarks.medical [prepare] [forward] [queue] [start] [--size 512 512 120]

Without names everything is measured. `prepare` compares with MONAI's transforms and `forward` runs
MONAI's DenseNet121, the network of the public weights; both need MONAI, which Naiad does not. Times
are medians of CPU time in one thread; each round measures everything once, so that what else the
machine does falls on all alike. `queue` watches the memory of a server with 64 volumes waiting.
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

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from tests.support.memory import Usage

import naiad
from naiad import nifti
from naiad.pipelines.covid_ct import phantoms
from naiad.pipelines.covid_ct.model import ChestNet
from naiad.pipelines.covid_ct.schema import SHAPE
from naiad.pipelines.covid_ct.volumes import foreground, prepare, resized

BATCHES = (1, 4, 8)
VOLUMES = 64
FREE = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}


def timed(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of CPU time of each piece of work, after one that does not count."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, run in work.items():
            began = time.process_time()
            run()
            if number:
                seconds[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_preparation(size: tuple[int, int, int], rounds: int) -> None:
    import monai.transforms as monai

    rng = np.random.default_rng(0)
    data = phantoms.encode(phantoms.draw(rng, opacities=True, size=size))
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
            work = {str(b): (lambda x=x, n=network: n(x)) for b, x in inputs.items()}
            found = timed(work, rounds)
        each = ", ".join(f"batch of {b}: {found[str(b)] / b:.2f}" for b in BATCHES)
        print(f"  {name}: {each}")


def measure_queue(size: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    data = phantoms.encode(phantoms.draw(rng, opacities=True, size=size))
    stored = 2 * np.prod(size) / 1e6
    print(f"volumes of {size}, {len(data) / 1e6:.1f} MB as .nii.gz, {stored:.0f} MB as int16")
    with naiad.serve("covid_ct", instances=1, **FREE) as server, server.client() as client:
        client.covid_ct.infer([data], timeout=600)
        print(f"  after one volume, MB: {Usage.of(server)}")
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                client.covid_ct.infer([data], timeout=600)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=ask) for _ in range(VOLUMES)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        most = Usage.of(server)
        while any(thread.is_alive() for thread in threads):
            now = Usage.of(server)
            most = Usage(*map(max, astuple(most), astuple(now)))
            time.sleep(0.2)
        print(f"  most with {VOLUMES} waiting, MB: {most}; {len(failed)} failed")
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
    parser.add_argument("what", nargs="*", default=["prepare", "forward", "queue", "start"])
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 120), help="of a volume")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    size = tuple(arguments.size)
    for what in arguments.what:
        if what == "prepare":
            measure_preparation(size, arguments.rounds)
        elif what == "forward":
            measure_forward(arguments.rounds)
        elif what == "queue":
            measure_queue(size)
        elif what == "start":
            measure_start(arguments.rounds)
        else:
            parser.error(f"{what}: it must be prepare, forward, queue or start")


if __name__ == "__main__":
    main()
