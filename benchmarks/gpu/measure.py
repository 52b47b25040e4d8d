"""Measurements of one pipeline on one device."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.gpu.buckets import Replayed, filled
from benchmarks.gpu.cases import Case

from naiad.core.merging import Batch, collate, split
from naiad.core.pipeline import Request
from naiad.core.schema import Arrays, measure
from naiad.errors import NaiadError
from naiad.runtime.results import as_numpy
from naiad.runtime.runner import Prepared, Runner

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Setting:
    """Device, weights and length of the measurements of a case."""

    case: Case
    device: str
    weights: Path | None
    seconds: float
    tiny: bool

    @property
    def batches(self) -> tuple[int, ...]:
        """Numbers of requests that are run together."""
        return self.case.batches[:2] if self.tiny else self.case.batches


def answers(runner: Runner, requests: Sequence[Request]) -> list[Arrays]:
    """Return the outputs of all requests; raise the error of the first that has one."""
    outcomes = runner.run(requests).outcomes
    for outcome in outcomes:
        if isinstance(outcome, NaiadError):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, NaiadError)]


def difference(ours: Sequence[Arrays], theirs: Sequence[Arrays]) -> float:
    """Return the largest difference of numbers, relative to the largest of an output."""
    worst = 0.0
    for name in ours[0]:
        if ours[0][name].dtype == object:
            continue
        one, other = (
            np.concatenate([a[name].ravel() for a in side]).astype(np.float64)
            for side in (ours, theirs)
        )
        if one.size:
            scale = max(float(np.abs(other).max()), 1e-30)
            worst = max(worst, float(np.abs(one - other).max()) / scale)
    return worst


def rate(work: Callable[[], object], items: int, seconds: float) -> float:
    """Return the items per second of a call that handles ``items``, after a first one."""
    work()
    began, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - began < seconds:
        work()
        done += items
    return done / (time.perf_counter() - began)


def by_batch(runner: Runner, requests: Sequence[Request], setting: Setting) -> Iterator[Any]:
    """Yield, for each batch, the requests per second and the peak memory of the device in MB."""
    cuda = setting.device.startswith("cuda")
    for batch in setting.batches:
        some = requests[:batch]
        if cuda:
            torch.cuda.reset_peak_memory_stats(setting.device)
        speed = rate(lambda some=some: answers(runner, some), batch, setting.seconds)
        peak = torch.cuda.max_memory_allocated(setting.device) / 1e6 if cuda else float("nan")
        yield {"batch": batch, "per_second": speed, "memory_mb": peak}


def overlap(runner: Runner, requests: Sequence[Request], setting: Setting) -> dict[str, float]:
    """Compare preparing the next batch beside ``forward`` with one after the other."""

    def prepared() -> list[Prepared]:
        return [runner.prepare(request) for request in requests]

    with ThreadPoolExecutor(1) as pool:
        ahead = [pool.submit(prepared)]

        def beside() -> None:
            ready = ahead.pop().result()
            ahead.append(pool.submit(prepared))
            runner.run_prepared(ready)

        return {
            "off": rate(lambda: runner.run_prepared(prepared()), len(requests), setting.seconds),
            "on": rate(beside, len(requests), setting.seconds),
        }


def copies(runner: Runner, requests: Sequence[Request], setting: Setting) -> dict[str, float]:
    """Compare copies of a prepared batch to the device from pinned memory with ordinary ones."""
    assert setting.case.forward is not None
    forward, samples = setting.case.forward(runner), samples_of(runner, requests)
    schema = type(runner.pipeline).sample

    def run(pinned: bool) -> None:
        batch = collate(schema, samples, [measure(schema, sample) for sample in samples])
        with torch.inference_mode():
            outputs = forward(moved(batch, setting.device, pinned=pinned))
            for name, value in outputs.items():
                as_numpy(name, value)

    pins = setting.device.startswith("cuda")
    return {
        name: rate(lambda p=pinned and pins: run(p), len(requests), setting.seconds)
        for name, pinned in (("off", False), ("on", True))
    }


def moved(batch: Batch, device: str, *, pinned: bool) -> Batch:
    """Copy a batch of NumPy arrays to a device."""
    tensors = {name: torch.from_numpy(np.require(a, requirements="W")) for name, a in batch.items()}
    if pinned:
        tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
    arrays = {name: t.to(device, non_blocking=pinned) for name, t in tensors.items()}
    sizes = {dim: batch.sizes(dim) for dim in batch.totals()}
    return Batch(arrays, sizes, batch.requests, device)


def graphs(runner: Runner, requests: Sequence[Request], setting: Setting) -> dict[str, float]:
    """Compare a CUDA graph of a batch filled to its bucket with a plain call.

    Raises:
        RuntimeError: the network cannot be captured, or its answers differ.
    """
    assert setting.case.forward is not None
    forward, samples = setting.case.forward(runner), samples_of(runner, requests)
    pipeline = type(runner.pipeline)
    with torch.inference_mode():
        sizes = [measure(pipeline.sample, sample) for sample in samples]
        plain = collate(pipeline.sample, samples, sizes)
        full = filled(pipeline.sample, samples)
        replayed = Replayed(forward, full, setting.device)
        results = {
            name: {key: as_numpy(key, value).copy() for key, value in run().items()}
            for name, run in (
                ("off", lambda: forward(plain.torch(setting.device))),
                ("on", lambda: replayed(full)),
            )
        }
        ours, theirs = (
            shares(pipeline, results[name], batch)[: len(requests)]
            for name, batch in (("on", full), ("off", plain))
        )
        if (found := difference(ours, theirs)) > setting.case.tolerance:
            raise RuntimeError(f"answers of the filled batch differ by {found:.1e}")

        def call(run: Callable[[], Any]) -> None:
            for name, value in run().items():
                as_numpy(name, value)

        count = len(requests)
        return {
            "off": rate(
                lambda: call(lambda: forward(plain.torch(setting.device))), count, setting.seconds
            ),
            "on": rate(lambda: call(lambda: replayed(full)), count, setting.seconds),
        }


def shares(pipeline: Any, arrays: Arrays, batch: Batch) -> list[dict[str, Any]]:
    """Split a network's results by request."""
    known = {name: tensor for name, tensor in pipeline.result.items() if name in arrays}
    sizes = {dim: batch.sizes(dim) for dim in batch.totals()}
    return split(known, {name: arrays[name] for name in known}, sizes, batch.requests)


def samples_of(runner: Runner, requests: Sequence[Request]) -> list[Arrays]:
    """Prepare requests; raise the first error."""
    found: list[Arrays] = []
    for request in requests:
        made = runner.prepare(request)
        if isinstance(made, NaiadError):
            raise made
        found.append(made[0])
    return found


def workers(setting: Setting, batch: int, number: int) -> float:
    """Return the requests per second of several processes on the same device."""
    order = {
        "case": setting.case.name,
        "device": "cpu" if setting.tiny else setting.device,  # which needs no torch
        "weights": str(setting.weights or ""),
        "batch": batch,
        "seconds": setting.seconds,
        "tiny": setting.tiny,
    }
    command = [sys.executable, "-m", "benchmarks.gpu.worker", json.dumps(order)]
    pipe = subprocess.PIPE
    running = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=_ROOT)
        for _ in range(number)
    ]
    try:
        for one in running:
            assert one.stdout is not None
            if one.stdout.readline().strip() != "ready":
                raise RuntimeError(f"a worker of {setting.case.name} did not start")
        for one in running:
            assert one.stdin is not None
            print("go", file=one.stdin, flush=True)
        return sum(float(one.communicate()[0]) for one in running)
    finally:
        for one in running:
            one.kill()
            one.communicate()
